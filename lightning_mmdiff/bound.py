"""The variational bound that trains a learned variance (Improved DDPM, Nichol & Dhariwal 2021, Eq. 16)."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from lightning_mmdiff.noise import NoiseSchedule, per_image
from lightning_mmdiff.respaced import PosteriorTable, make_posterior_table


def variational_bound(schedule: NoiseSchedule, output: Tensor, z0: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """Return one term of the variational bound: the part of the hybrid loss that trains the variance (Improved DDPM, Eq. 16).

    The term is KL(q(z_(t-1) | z_t, z_0) || p(z_(t-1) | z_t)) for t > 0 and -log p(z_0 | z_t) of 8-bit pixels for t = 0. No
    gradient reaches the predicted noise. At t = 0 the Gaussian CDF is exact; ADM's code approximates it (by .001 bits
    for a mean one standard deviation away, .01 at two, .5 at four).

    Args:
        schedule: variance-preserving noise schedule.
        output: predicted noise and raw variance, [B, 2C, H, W].
        z0: clean image in [-1, 1] with 8-bit values (-1 plus multiples of 1 / 127.5), [B, C, H, W].
        z: z_t, [B, C, H, W].
        t: timesteps, [B] int64.

    Returns:
        Bits per dimension, float32 [B].
    """
    table = _table(schedule)
    t = t.cpu()
    eps, raw = output.float().chunk(2, dim=1)
    mean_z0, mean_z = per_image(table.z0[t], z), per_image(table.z[t], z)
    predicted = mean_z0 * schedule.z0_from_eps(eps.detach(), z, t) + mean_z * z
    log_variance = table.log_variance(t, raw)
    true_log_variance = per_image(table.log_beta_tilde[t], z)
    kl = gaussian_kl(mean_z0 * z0 + mean_z * z, true_log_variance, predicted, log_variance)
    nll = -discretized_log_likelihood(z0, predicted, log_variance)
    bits = torch.where(per_image(t == 0, z).bool(), nll, kl) / math.log(2)
    return bits.flatten(1).mean(dim=1)


@lru_cache(maxsize=16)
def _table(schedule: NoiseSchedule) -> PosteriorTable:
    return make_posterior_table(schedule.alpha_bar)


def gaussian_kl(mean: Tensor, log_variance: Tensor, mean_p: Tensor, log_variance_p: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_variance)) || N(mean_p, exp(log_variance_p))) elementwise, in nats.

    Args:
        mean: mean of the first Gaussian.
        log_variance: log variance of the first Gaussian.
        mean_p: mean of the second Gaussian.
        log_variance_p: log variance of the second Gaussian.
    """
    ratio = log_variance - log_variance_p
    return 0.5 * (-1 - ratio + ratio.exp() + (mean - mean_p).square() * (-log_variance_p).exp())


def discretized_log_likelihood(z0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log probability of z0's 8-bit bin under N(mean, exp(log_variance)), in nats; bins -1 and 1 include the tails."""
    scale = (-0.5 * log_variance).exp()
    below = torch.special.ndtr((z0 - 1 / 255 - mean) * scale)
    above = torch.special.ndtr((z0 + 1 / 255 - mean) * scale)
    mass = torch.where(z0 > 0.999, 1.0, above) - torch.where(z0 < -0.999, 0.0, below)
    return mass.clamp(min=1e-12).log()
