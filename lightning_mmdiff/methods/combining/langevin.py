"""Langevin correctors (Du et al. 2023, "Reduce, Reuse, Recycle"): steps at one noise level towards the combined density.

Here g = -eps / sigma is the combined score at the noise level where the corrector acts, and h = delta sigma^2 its step size.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Predict = Callable[[Tensor], Tensor]
"""Function from z [B, ...] to the combined noise at the corrector's level, [B, ...]."""


def langevin(z: Tensor, eps: Tensor, sigma: float, *, delta: float, noise: Tensor) -> Tensor:
    """Return one unadjusted Langevin step (ULA) from z, of the shape of z.

    Args:
        z: current point, [B, ...].
        eps: combined noise predicted for z, [B, ...].
        sigma: sigma of the level.
        delta: step size in units of sigma^2.
        noise: N(0, I), [B, ...].
    """
    step = delta * sigma**2
    return z - step * eps / sigma + (2 * step) ** 0.5 * noise


def metropolis(
    z: Tensor, eps: Tensor, predict: Predict, sigma: float, *, delta: float, noise: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return one Metropolis-adjusted step (MALA): the new point, its noise, and which images moved, bool [B].

    The difference in log density is the trapezoid of the score between both points, exact for Gaussians: no energy is needed.
    Each image is accepted on its own.

    Args:
        z: current point, [B, ...].
        eps: combined noise predicted for z.
        predict: combined noise at this level.
        sigma: sigma of the level.
        delta: step size in units of sigma^2.
        noise: N(0, I), of the shape of z.
        uniform: uniform draws in [0, 1), [B].
    """
    step = delta * sigma**2
    proposal = langevin(z, eps, sigma, delta=delta, noise=noise)
    eps_new = predict(proposal)
    g, g_new, move = -eps / sigma, -eps_new / sigma, proposal - z

    def total(x: Tensor) -> Tensor:
        return x.flatten(1).sum(dim=1)

    gain = 0.5 * total((g + g_new) * move)
    back, forth = total((move + step * g_new).square()), total((move - step * g).square())
    moved = uniform.log() < gain - (back - forth) / (4 * step)
    chosen = moved.view(-1, *[1] * (z.ndim - 1))
    return torch.where(chosen, proposal, z), torch.where(chosen, eps_new, eps), moved
