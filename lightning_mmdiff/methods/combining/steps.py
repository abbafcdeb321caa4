"""Steps of DDIM (Song et al. 2021, Eq. 12 and 16) as pure functions, over any subset of the timesteps.

alpha, sigma -> at t; alpha_next, sigma_next -> at s, the next cleaner timestep (1 and 0 at the end)
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mmdiff.noise import NoiseSchedule


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The step from t to s of a variance-preserving schedule."""

    t: int
    alpha: float
    sigma: float
    alpha_next: float
    sigma_next: float

    @property
    def is_last(self) -> bool:
        """Whether s is the clean image."""
        return self.sigma_next == 0

    @property
    def snr_ratio(self) -> float:
        """R = SNR_t / SNR_s, 0 for the last step."""
        return (self.alpha * self.sigma_next / (self.sigma * self.alpha_next)) ** 2

    @property
    def log_snr_gain(self) -> float:
        """L_s - L_t, infinite for the last step."""
        return math.inf if self.is_last else -math.log(self.snr_ratio)

    def noise_std(self, eta: float) -> float:
        """Return the standard deviation of the noise that the step adds (Eq. 16), at most that of z_s."""
        std = eta * self.sigma_next / self.sigma * math.sqrt(1 - (self.alpha / self.alpha_next) ** 2)
        return min(std, self.sigma_next)


def intervals(schedule: NoiseSchedule, timesteps: Iterable[int]) -> dict[int, Interval]:
    """Return the step that starts at each of ``timesteps``, which run from noise to image."""
    times = [int(t) for t in timesteps]
    alpha_bar = schedule.alpha_bar
    alphas = [float(alpha_bar[t].sqrt()) for t in times] + [1.0]
    sigmas = [float((1 - alpha_bar[t]).sqrt()) for t in times] + [0.0]
    return {
        t: Interval(t=t, alpha=alphas[i], sigma=sigmas[i], alpha_next=alphas[i + 1], sigma_next=sigmas[i + 1])
        for i, t in enumerate(times)
    }


def clean_image(z: Tensor, eps: Tensor, step: Interval) -> Tensor:
    """Return the z_0 that z_t and its noise imply, of the shape of z."""
    return (z - step.sigma * eps) / step.alpha


def clipped_noise(z: Tensor, eps: Tensor, step: Interval) -> Tensor:
    """Return the noise whose clean image is that of ``eps`` clamped to [-1, 1], of the shape of z."""
    return (z - step.alpha * clean_image(z, eps, step).clamp(-1, 1)) / step.sigma


def ddim(z: Tensor, z0: Tensor, step: Interval, *, eta: float = 0.0, noise: Tensor | None = None) -> Tensor:
    """Return z_s, of the shape of z (Eq. 12); the noise direction is that of z_t and ``z0``.

    Args:
        z: z_t.
        z0: predicted clean image, clipped or not.
        step: from t to s.
        eta: scale of the noise.
        noise: N(0, I), needed if ``eta`` is not 0 and the step is not the last.
    """
    std = step.noise_std(eta)
    eps = (z - step.alpha * z0) / step.sigma
    z_next = step.alpha_next * z0 + math.sqrt(step.sigma_next**2 - std**2) * eps
    return z_next if noise is None or not std else z_next + std * noise


def weighted(coefficients: Tensor, terms: Tensor) -> Tensor:
    """Return sum_k c_k x_k, [...], for c [K] and terms [K, ...]."""
    return torch.einsum("k,k...->...", coefficients, terms)
