"""SuperDiff (Skreta et al., ICLR 2025): samples that all experts find equally likely (AND), or that some expert does (OR).

Ito's density estimator follows each expert's log density along the path. AND is not the product of the densities.

    y = z / alpha; rho = 1 - SNR_t / SNR_s; noise level s~ = sigma / alpha
"""

import math

from torch import Tensor

from lightning_mmdiff.methods.combining.steps import Interval


def drift(eps: Tensor, step: Interval, noise: Tensor) -> Tensor:
    """Return the step in y of one noise prediction with eta = 1, of the shape of eps."""
    rho = 1 - step.snr_ratio
    next_level = step.sigma_next / step.alpha_next
    return -step.sigma / step.alpha * rho * eps + next_level * math.sqrt(rho) * noise


def log_density_gain(eps: Tensor, move: Tensor, step: Interval) -> Tensor:
    """Return the gain of each expert's log density over a step, [N, B].

    Args:
        eps: noise that each expert predicts, [N, B, ...].
        move: the step taken in y, [B, ...].
        step: from t to s.
    """
    level, rho = step.sigma / step.alpha, 1 - step.snr_ratio
    along = (eps * move).flatten(2).sum(dim=2)
    return -along / level - 0.5 * rho * eps.square().flatten(2).sum(dim=2)


def and_move(eps: Tensor, step: Interval, noise: Tensor, *, center: Tensor | None = None) -> Tensor:
    """Return the step in y, [B, ...], after which two experts' log densities have changed by the same amount.

    It is the step of the plain average with the part along the experts' difference replaced.

    Args:
        eps: noise that both experts predict, [2, B, ...].
        step: from t to s.
        noise: N(0, I), [B, ...].
        center: noise to step by in place of the experts' mean, such as a clipped or guided one, [B, ...].
    """
    level, rho = step.sigma / step.alpha, 1 - step.snr_ratio
    middle = eps.mean(dim=0)
    move = drift(middle if center is None else center, step, noise)
    difference = eps[0] - eps[1]
    shape = (-1, *[1] * (difference.ndim - 1))
    length = difference.flatten(1).norm(dim=1).view(shape)
    axis = difference / length.clamp(min=1e-12)

    def along(x: Tensor) -> Tensor:
        return (axis * x).flatten(1).sum(dim=1).view(shape)

    return move - axis * (along(move) + rho * level * along(middle))


def or_weights(log_density: Tensor, *, temperature: float = 1.0, bias: Tensor | None = None) -> Tensor:
    """Return the weight of each expert, [N, B], from their log densities [N, B] so far."""
    return (temperature * log_density + (0 if bias is None else bias[:, None])).softmax(dim=0)


def moved(z: Tensor, move: Tensor, step: Interval) -> Tensor:
    """Return z_s after a step in y."""
    return step.alpha_next * (z / step.alpha + move)
