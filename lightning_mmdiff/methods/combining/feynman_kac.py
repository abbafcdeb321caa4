"""Feynman-Kac correctors (Skreta et al., ICML 2025, Prop. 3.1 and 3.3): weighted particles follow the product of clean densities.

Eq. 10 moves each particle; its weight makes up for what Eq. 10 gets wrong, and resampling spends particles where it matters.
"""

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.steps import Interval, weighted


def disagreement(eps: Tensor, coefficients: Tensor) -> Tensor:
    """Return D_t = sum_k c_k |eps_k - eps_c|^2, [B], summed over pixels; where it is constant, Eq. 10 is exact.

    Args:
        eps: noise that each term predicts, [K, B, ...].
        coefficients: c_k, [K], sum 1.
    """
    apart = eps - weighted(coefficients, eps)
    return weighted(coefficients, apart.square().flatten(2).sum(dim=2))


def log_weight_gain(eps: Tensor, coefficients: Tensor, step: Interval) -> Tensor:
    """Return the gain of the log weight over a step, [B]: -1/2 (L_s - L_t) D_t; 0 on the last step, where L is infinite."""
    if step.is_last:
        return eps.new_zeros(eps.shape[1])
    return -0.5 * step.log_snr_gain * disagreement(eps, coefficients)


def systematic(log_weights: Tensor, uniform: Tensor) -> Tensor:
    """Return the particles of each image that survive, int64 [..., P], by systematic resampling.

    Args:
        log_weights: [..., P], which need no normalization.
        uniform: one draw in [0, 1) for each image, [...].
    """
    shares, count = log_weights.double().softmax(dim=-1).cumsum(dim=-1), log_weights.shape[-1]
    places = (torch.arange(count, dtype=torch.float64, device=shares.device) + uniform.to(shares)[..., None]) / count
    return torch.searchsorted(shares, places.contiguous()).clamp(max=count - 1)
