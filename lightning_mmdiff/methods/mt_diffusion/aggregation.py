"""Forward aggregation (MT-Diffusion, ICLR 2024): Eq. 3-5 and Theorem 2 as tables, and sampling with the shifted variable.

Notation: shift -> a~_t (index 0 is the paper's t = 1); weights -> w_t; encodings -> E_i(x_i), [B, N, C, H, W];
y -> z_t - sum_i a~_t^i E_i = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) eps, an ordinary diffusion.

Theorem 2 holds for any weights; schedules differ in where sampling may start. alpha_t is DDPM's: the alpha'_t / (N + 1) of
Eq. 3 would make the variance 1 - alpha_t, but not the mean.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.noise import NoiseSchedule
from lightning_mmdiff.respaced import Step
from lightning_mmdiff.sampling import SchedulerWrapper
from lightning_mmdiff.transfer import moved

Aggregation = Literal["none", "consistent", "paper", "mean_reverting"]
"""none: a~ = 0, E never enters z_t. consistent: E fades with the image, so sampling starts at N(0, I). paper: the printed
weights; E is thousands of times the noise. mean_reverting: z_T = E + noise. The last two can only start from q(z_T | E)."""

STARTS_FROM_NOISE: tuple[Aggregation, ...] = ("none", "consistent")
"""Schedules whose z_T is independent of E: only these can generate a modality jointly with the image (``paper`` collapses)."""
MAX_SHIFT_16_BIT = 16.0
"""Largest a~ for 16-bit training: above 16, half-precision numbers are 1/64 apart, bfloat16 numbers 1/8."""


def shift_table(name: Aggregation, schedule: NoiseSchedule) -> Tensor:
    """Return the coefficients a~_t of one encoding in z_t (Eq. 4), float64 [T], for a variance-preserving schedule."""
    alpha_bar = schedule.alpha_bar
    num_steps = len(alpha_bar)
    step = torch.arange(num_steps, dtype=torch.float64, device=alpha_bar.device)  # 0 ... T - 1
    match name:
        case "none":
            return torch.zeros_like(alpha_bar)
        case "consistent":  # w_t = sqrt(alpha_bar_(t-1)) / T: diffuses z_0 + (t / T) E
            return alpha_bar.sqrt() * (step + 1) / num_steps
        case "paper":  # App. E, for T = 1000; t counts from 0, or the last weight would be infinite
            return shift_from_weights(step / (num_steps - step), alpha_bar)
        case "mean_reverting":  # w_t = 1 / sqrt(alpha_t) - 1
            return 1 - alpha_bar.sqrt()
    raise UserError(f"unknown aggregation {name!r}; expected none, consistent, paper or mean_reverting.")


def shift_from_weights(weights: Tensor, alpha_bar: Tensor) -> Tensor:
    """Compute Theorem 2's recursion: a~_t = sqrt(alpha_t) (w_t + a~_(t-1)), a~_0 = 0.

    Args:
        weights: w_t, float64 [T].
        alpha_bar: float64 [T], for any subset of a schedule's steps.

    Returns:
        a~_t, float64 [T].
    """
    shift = torch.empty_like(weights)
    previous = weights.new_zeros(())
    for t, (root_alpha, weight) in enumerate(zip(_root_alpha(alpha_bar), weights, strict=True)):
        shift[t] = previous = root_alpha * (weight + previous)
    return shift


def weights_from_shift(shift: Tensor, alpha_bar: Tensor) -> Tensor:
    """Invert ``shift_from_weights``, float64 [T]; for a subset of the steps, return the weights of that coarser chain."""
    previous = torch.cat([shift.new_zeros(1), shift[:-1]])
    return shift / _root_alpha(alpha_bar) - previous


def posterior(
    z: Tensor, z0: Tensor, encodings: Tensor, shifts: Tensor, alpha_bar: Tensor, t: int
) -> tuple[Tensor, Tensor]:
    """Return q(z_(t-1) | z_t, z_0, X), Eq. 5, over the steps of ``alpha_bar``.

    Args:
        z: z_t, [B, C, H, W].
        z0: clean image, [B, C, H, W].
        encodings: E_i(x_i), [B, N, C, H, W].
        shifts: a~ of each modality, [N, T].
        alpha_bar: [T].
        t: index; 0 is the paper's t = 1 (where the variance is 0).

    Returns:
        Mean, [B, C, H, W], and variance beta~_t, a scalar. A step's noise is sqrt(beta~_t) eps; Algorithm 1 prints beta~_t.
    """
    first = alpha_bar.new_ones(()), torch.zeros_like(shifts[:, 0])  # t - 1 = 0: the clean image
    previous, shift_before = (alpha_bar[t - 1], shifts[:, t - 1]) if t else first
    bar, alpha = alpha_bar[t], alpha_bar[t] / previous
    weights = shifts[:, t] / alpha.sqrt() - shift_before  # w_t^i: Eq. 5 omits the i
    coefficient = (1 - alpha) * shifts[:, t] / alpha.sqrt() - (1 - bar) * weights  # of E_i
    mean = alpha.sqrt() * (1 - previous) * z + (1 - alpha) * previous.sqrt() * z0  # Eq. 5
    mean = (mean + torch.einsum("n,bnchw->bchw", coefficient, encodings)) / (1 - bar)
    return mean, (1 - alpha) * (1 - previous) / (1 - bar)


def aggregate(shifts: Tensor, encodings: Tensor, t: Tensor | int) -> Tensor:
    """Return the shift of z_t, sum_i a~_t^i E_i (second term of Eq. 4).

    Args:
        shifts: a~, float64 [N, T].
        encodings: E_i(x_i), [B, N, C, H, W].
        t: indices, int64 [B], or one for all.

    Returns:
        [B, C, H, W], with the dtype of ``encodings``.
    """
    t = torch.as_tensor(t).expand(len(encodings))
    coefficients = moved(shifts.to(t.device)[:, t], encodings.device, encodings.dtype)  # [N, B]
    return torch.einsum("nb,bnchw->bchw", coefficients, encodings)


def check_precision(shifts: Tensor, precision: str) -> None:
    """Raise UserError for 16-bit training (Lightning's ``precision`` name) with encodings that swamp the noise."""
    largest = float(shifts.abs().max()) if len(shifts) else 0.0
    if "16" in precision and largest > MAX_SHIFT_16_BIT:
        raise UserError(
            f"Encodings enter z_t with factors up to {largest:.0f}, where numbers of precision {precision} are "
            "further apart than the noise is large. Train in 32-true, or with aggregation='consistent'."
        )


def check_start(modality: str, aggregation: Aggregation) -> None:
    """Raise UserError if sampling cannot start without knowing ``modality`` under this aggregation."""
    if aggregation not in STARTS_FROM_NOISE:
        raise UserError(
            f"{modality} is missing, and with aggregation {aggregation!r} z_T depends on it: from N(0, I) the samples "
            f"collapse. Give {modality} in the conditions, or train with aggregation='consistent'."
        )


def split_encodings(model_output: Tensor, number: int, channels: int) -> tuple[Tensor, Tensor]:
    """Split a model output into the noise part, [B, C or 2C, H, W], and the ``number`` encodings after it, [B, N, C, H, W]."""
    place = model_output.shape[1] - number * channels
    return model_output[:, :place], model_output[:, place:].unflatten(1, (number, channels))


class ShiftedScheduler(SchedulerWrapper):
    """Any of this package's or diffusers' schedulers, run on y_t (Algorithm 1: Eq. 5 is DDPM's step of y_t).

    ``step`` takes the scheduler's input, followed along the channels by the encodings estimated at this step, [B, N C, H, W].
    It subtracts their shift from z_t, lets the scheduler go from y_t to y_s, and adds the shift at s:
    z_s = y_s + sum_i a~_s^i E_i. So a new estimate acts in its own step, and z_0 is clipped as an image, free of E.
    """

    def __init__(self, inner: Any, shifts: Tensor) -> None:
        """Wrap ``inner``; ``shifts`` is a~ of the N modalities, float64 [N, T]."""
        super().__init__(inner)
        self.shifts = shifts
        self._before: tuple[int, Tensor] | None = None  # timestep and encodings of the previous step

    def set_timesteps(self, num_steps: int, device: torch.device | str | None = None) -> None:
        """Choose the timesteps for a batch."""
        super().set_timesteps(num_steps, device)
        self._before = None

    def step(
        self, model_output: Tensor, t: Tensor, z: Tensor, generator: Sequence[torch.Generator] | None = None
    ) -> Step:
        """Step from z_t to z_s, the next of ``timesteps``, or to z_0.

        Args:
            model_output: predicted noise (and raw variance), then the encodings, [B, C + N C, H, W] or [B, 2C + N C, H, W].
            t: one of ``timesteps``.
            z: z_t, [B, C, H, W].
            generator: noise source of each image, for schedulers that add noise.
        """
        output, encodings = split_encodings(model_output, len(self.shifts), z.shape[1])
        self._shift_memory(encodings)
        y = super().step(output, t, z - aggregate(self.shifts, encodings, t), generator).prev_sample
        self._before = int(t), encodings
        following = self._following(int(t))
        z_s = y if following is None else y + aggregate(self.shifts, encodings, following)  # a~_0 = 0
        return Step(prev_sample=z_s)

    def _shift_memory(self, encodings: Tensor) -> None:
        """Update the y stored by a scheduler (UniPC corrects its last step) to the newly estimated encodings."""
        if self._before is not None and getattr(self.inner, "last_sample", None) is not None:
            t, old = self._before
            self.inner.last_sample = self.inner.last_sample + aggregate(self.shifts, old - encodings, t)

    def _following(self, t: int) -> int | None:
        """Return the timestep after ``t``, or None after the last one."""
        timesteps = self.timesteps.tolist()
        place = timesteps.index(t) + 1
        return timesteps[place] if place < len(timesteps) else None


def _root_alpha(alpha_bar: Tensor) -> Tensor:
    """Return sqrt(alpha_t) = sqrt(alpha_bar_t / alpha_bar_(t-1)), [T]."""
    return (alpha_bar / torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])).sqrt()
