"""Noise schedules z_t = alpha_t z_0 + sigma_t eps, and matching two of them (Unite and Conquer, supplement 7.2).

Time counts noising steps from 0: index 0 has one step of noise, and sampling starts at T - 1 = 999. Tables are float64.

    alpha -> sqrt(alpha_bar_t); sigma -> sqrt(1 - alpha_bar_t) (variance preserving); log_snr -> log(alpha^2 / sigma^2)
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.transfer import moved

Prediction = Literal["eps", "v", "z0"]
"""The quantity that a network predicts."""


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """A schedule with decreasing signal-to-noise ratio, variance preserving or not (alpha = 1 is variance exploding).

    Every method takes timesteps of any shape [...], integer or fractional, and returns one value per timestep. Between two
    indices, log-SNR and log(alpha^2 + sigma^2) are linear, so a variance-preserving schedule stays variance preserving.
    """

    alpha: Tensor  # float64 [T]
    sigma: Tensor  # float64 [T]

    def __post_init__(self) -> None:
        if self.alpha.dtype != torch.float64 or self.alpha.ndim != 1 or self.alpha.shape != self.sigma.shape:
            raise UserError(
                f"alpha and sigma must be float64 tables [T], got {self.alpha.dtype} {list(self.alpha.shape)} and "
                f"{self.sigma.dtype} {list(self.sigma.shape)}."
            )
        if (self.alpha <= 0).any() or (self.sigma <= 0).any() or (self._log_snr.diff() >= 0).any():
            raise UserError("alpha and sigma must be positive, and alpha / sigma must fall from step to step.")

    def __len__(self) -> int:
        return len(self.alpha)

    @property
    def _log_snr(self) -> Tensor:
        return 2 * (self.alpha.log() - self.sigma.log())

    @property
    def _log_variance(self) -> Tensor:
        return (self.alpha.square() + self.sigma.square()).log()

    @property
    def alpha_bar(self) -> Tensor:
        """alpha_t^2, float64 [T], for a variance-preserving schedule; UserError for any other."""
        if self._log_variance.abs().max() > 1e-9:
            raise UserError("alpha_bar needs a variance-preserving schedule (alpha^2 + sigma^2 = 1).")
        return self.alpha.square()

    @property
    def betas(self) -> Tensor:
        """1 - alpha_bar_t / alpha_bar_(t-1), float64 [T]."""
        alpha_bar = self.alpha_bar
        return 1 - alpha_bar / torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])

    def log_snr(self, t: Tensor) -> Tensor:
        """Return log(alpha_t^2 / sigma_t^2), float64 [...]."""
        return _interpolate(self._log_snr, t)

    def time_at(self, log_snr: Tensor) -> Tensor:
        """Return the fractional timestep with this log-SNR (inverse of ``log_snr``), float64 [...], clamped to the table."""
        table = -self._log_snr.to(log_snr.device)  # ascending
        wanted = -log_snr.double()
        right = torch.searchsorted(table, wanted.contiguous()).clamp(1, len(self) - 1)
        low, high = table[right - 1], table[right]
        return (right - 1 + (wanted - low) / (high - low)).clamp(0, len(self) - 1)

    def variance(self, t: Tensor) -> Tensor:
        """Return alpha_t^2 + sigma_t^2, float64 [...]: the variance of z_t if z_0 has variance 1; 1 if variance preserving."""
        return _interpolate(self._log_variance, t).exp()

    def coefficients(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha_t and sigma_t, [B, 1, ..., 1] (scalars for a scalar t), with the dtype and device of ``like`` [B, ...]."""
        log_snr, variance = self.log_snr(t), self.variance(t)
        alpha, sigma = (variance * log_snr.sigmoid()).sqrt(), (variance * (-log_snr).sigmoid()).sqrt()
        return per_image(alpha, like), per_image(sigma, like)

    def add_noise(self, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return z_t = alpha_t z_0 + sigma_t eps, [B, ...]."""
        alpha, sigma = self.coefficients(t, z0)
        return alpha * z0 + sigma * eps

    def v_target(self, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return the target of v prediction, v = alpha_t eps - sigma_t z_0 (Salimans & Ho 2022, Sec. 4), [B, ...]."""
        alpha, sigma = self.coefficients(t, z0)
        return alpha * eps - sigma * z0

    def eps_from_v(self, v: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the noise implied by v and z_t: (sigma_t z_t + alpha_t v) / (alpha_t^2 + sigma_t^2), [B, ...]."""
        alpha, sigma = self.coefficients(t, z)
        return (sigma * z + alpha * v) / per_image(self.variance(t), z)

    def eps_from_z0(self, z0: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the noise implied by a clean image and z_t: (z_t - alpha_t z_0) / sigma_t, [B, ...]."""
        alpha, sigma = self.coefficients(t, z)
        return (z - alpha * z0) / sigma

    def z0_from_eps(self, eps: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return the clean image implied by the noise and z_t: (z_t - sigma_t eps) / alpha_t, [B, ...]."""
        alpha, sigma = self.coefficients(t, z)
        return (z - sigma * eps) / alpha

    def min_snr_weight(self, t: Tensor, gamma: float = 5.0, prediction: Prediction = "eps") -> Tensor:
        """Return the loss weight of each timestep (Hang et al. 2023, Sec. 3.4), float32 [...].

        The weight is min(SNR, gamma) / SNR on the error of eps and min(SNR, gamma) / (SNR + 1) on the error of v, both the same
        as min(SNR, gamma) on the error of z_0 (the second for a variance-preserving schedule).

        Deviation: a predicted z_0 has v's factor too, a smaller weight on nearly clean images than Hang et al. give it. With
        theirs, the small experts of mini are worse in equal time (one seed: FD 190 and mIoU .628, here 150 and .655).
        """
        snr = self.log_snr(t).exp()
        return (snr.clamp(max=gamma) / (snr if prediction == "eps" else snr + 1)).float()


def match(reference: NoiseSchedule, t: Tensor, other: NoiseSchedule) -> tuple[Tensor, Tensor]:
    """Return the time and scale at which a model trained with ``other`` sees the noise level of z_t (supplement 7.2).

    The paper says that scores can be mixed across variance schedules, but not how. Two noisy images with equal signal-to-noise
    ratios differ only by a factor: ``scale * z_t`` is a noisy image of ``other`` at ``t_other``.

    Args:
        reference: schedule of z_t.
        t: timesteps, [...].
        other: schedule of the model to call.

    Returns:
        t_other, float64 [...], clamped to the range of ``other``; scale, float64 [...], alpha_other / alpha_reference, which
        is 1 between variance-preserving schedules. At a clamped time the ratios cannot be equal, so the scale preserves the
        variance of z instead (elsewhere the two scales are equal).
    """
    if torch.equal(reference.alpha, other.alpha) and torch.equal(reference.sigma, other.sigma):
        return t.double(), torch.ones_like(t, dtype=torch.float64)
    t_other = other.time_at(reference.log_snr(t))
    return t_other, (other.variance(t_other) / reference.variance(t)).sqrt()


def _interpolate(table: Tensor, t: Tensor) -> Tensor:
    """Interpolate ``table`` [T] linearly at fractional times t [...]; float64 [...] on the device of t."""
    table = table.to(t.device)  # no copy in a step: timesteps stay on the CPU
    left = t.long()
    if t.is_floating_point():
        fraction = t.double() - left
        return torch.lerp(table[left], table[(left + 1).clamp(max=len(table) - 1)], fraction)
    return table[left]


def per_image(value: Tensor, like: Tensor) -> Tensor:
    """Reshape [B] to [B, 1, ..., 1] to broadcast against ``like`` [B, ...]; a scalar stays a scalar."""
    value = moved(value, like.device, like.dtype)
    return value if value.ndim == 0 else value.view(-1, *[1] * (like.ndim - 1))
