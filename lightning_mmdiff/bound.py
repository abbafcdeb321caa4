"""The variational bound that trains a learned variance (Improved DDPM, Nichol & Dhariwal 2021, Eq. 16)."""

import math

import torch
from torch import Tensor

from lightning_mmdiff.noise import NoiseSchedule, per_image
from lightning_mmdiff.respaced import make_posterior_table


def variational_bound(schedule: NoiseSchedule, output: Tensor, z0: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """One term of the variational bound, the part of the hybrid loss that trains the variance (Improved DDPM, Eq. 16).

    KL(q(z_(t-1) | z_t, z_0) || p(z_(t-1) | z_t)) for t > 0, -log p(z_0 | z_t) of 8-bit pixels for t = 0. The predicted
    noise gets no gradient. The Gaussian CDF of t = 0 is exact; the released code approximates it (by 5e-4 bits).

    Args:
        schedule: variance preserving.
        output: predicted noise and raw variance, [B, 2C, H, W].
        z0: image in [-1, 1], a multiple of 1 / 127.5 from -1, [B, C, H, W].
        z: z_t, [B, C, H, W].
        t: timesteps, [B] int64.

    Returns:
        Bits per dimension, float32 [B].
    """
    table = make_posterior_table(schedule.alpha_bar)
    t = t.cpu()
    eps, raw = output.float().chunk(2, dim=1)
    mean_z0, mean_z = per_image(table.z0[t], z), per_image(table.z[t], z)
    predicted = mean_z0 * schedule.z0_from_eps(eps.detach(), z, t) + mean_z * z
    log_variance = table.log_variance(t, raw)
    true_log_variance = per_image(table.log_beta_tilde[t], z)
    kl = gaussian_kl(mean_z0 * z0 + mean_z * z, true_log_variance, predicted, log_variance)
    nll = -discretised_log_likelihood(z0, predicted, log_variance)
    bits = torch.where(per_image(t == 0, z).bool(), nll, kl) / math.log(2)
    return bits.flatten(1).mean(dim=1)


def gaussian_kl(mean: Tensor, log_variance: Tensor, mean_p: Tensor, log_variance_p: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(mean_p, exp(log_variance_p))) of each number, in nats."""
    ratio = log_variance - log_variance_p
    return 0.5 * (-1 - ratio + ratio.exp() + (mean - mean_p).square() * (-log_variance_p).exp())


def discretised_log_likelihood(z0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log of the mass of N(mean, exp(log_variance)) in the 8-bit bin of z0; -1 and 1 own the tails. In nats."""
    scale = (-0.5 * log_variance).exp()
    below = torch.special.ndtr((z0 - 1 / 255 - mean) * scale)
    above = torch.special.ndtr((z0 + 1 / 255 - mean) * scale)
    mass = torch.where(z0 > 0.999, 1.0, above) - torch.where(z0 < -0.999, 0.0, below)
    return mass.clamp(min=1e-12).log()
