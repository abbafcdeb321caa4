"""Respaced DDPM and DDIM with learned variance (Improved DDPM, Nichol & Dhariwal 2021).

Unite and Conquer's released code uses this sampler. diffusers cannot replace it: for 100 of 1000 steps, its DDIM assumes
that the previous step is t - 10, which is not the previous retained step.

    beta_tilde -> variance of q(z_s | z_t, z_0), s the retained step before t; table -> retained steps, k = 0 the cleanest
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.noise import per_image
from lightning_mmdiff.transfer import moved

Variance = Literal["fixed_small", "fixed_large", "learned_range"]


def steps_of_sections(spacing: str) -> list[int]:
    """Return the numbers in OpenAI's string ``spacing``: the step count of each section, or the single number of "ddim100".

    Raises:
        UserError: if ``spacing`` is not one of OpenAI's strings.
    """
    try:
        counts = [int(n) for n in spacing.replace("fast27", "10,10,3,2,2").removeprefix("ddim").split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1 or (spacing.startswith("ddim") and len(counts) > 1):
        raise UserError(f'spacing {spacing!r} is none of "100", "10,10,3,2,2", "ddim100", "fast27".')
    return counts


def respace(num_timesteps: int, spacing: str) -> list[int]:
    """Return the timesteps, ascending, that OpenAI's string ``spacing`` selects from ``num_timesteps``.

    "100": 100 evenly spaced steps from first to last, round(i 999 / 99). "10,10,3,2,2": that many steps in each of five equal
    sections. "ddim100": every 10th step from 0. "fast27": GLIDE's variant of "10,10,3,2,2", which starts at 997.

    Raises:
        UserError: if the spacing is impossible.
    """
    counts = steps_of_sections(spacing)
    if spacing == "fast27":
        return [*respace(num_timesteps, "10,10,3,2,2")[:-1], num_timesteps - 3]
    if spacing.startswith("ddim"):
        for every in range(1, num_timesteps):
            if len(range(0, num_timesteps, every)) == counts[0]:
                return list(range(0, num_timesteps, every))
        raise UserError(f"no integer stride keeps {counts[0]} of {num_timesteps} steps (spacing {spacing!r}).")
    kept_steps: list[int] = []
    start = 0
    for section, count in enumerate(counts):
        size = num_timesteps // len(counts) + int(section < num_timesteps % len(counts))
        if not 1 <= count <= size:
            raise UserError(f"spacing {spacing!r} keeps {count} of the {size} steps of section {section}.")
        stride, position = (size - 1) / max(count - 1, 1), 0.0
        for _ in range(count):
            kept_steps.append(start + round(position))
            position += stride  # summed as OpenAI does: i * stride breaks ties differently (e.g., for 21 steps)
        start += size
    return kept_steps


@dataclass(frozen=True, eq=False)
class PosteriorTable:
    """q(z_s | z_t, z_0) over the steps of a table: mean ``z0 z_0 + z z_t`` and log variance; float64 tables [K]."""

    alpha_bar: Tensor
    alpha_bar_previous: Tensor  # 1 at k = 0
    beta: Tensor
    log_beta_tilde: Tensor  # entry 0 would be log 0; replaced by entry 1
    z0: Tensor  # coefficients of the mean (DDPM, Eq. 7)
    z: Tensor

    def log_variance(self, k: int | Tensor, raw: Tensor) -> Tensor:
        """Return the interpolated log variance (Improved DDPM, Eq. 15); ``raw`` is -1 for beta_tilde and 1 for beta."""
        fraction = (raw + 1) / 2
        log_beta, log_beta_tilde = (per_image(table[k], raw) for table in (self.beta.log(), self.log_beta_tilde))
        return fraction * log_beta + (1 - fraction) * log_beta_tilde


def make_posterior_table(alpha_bar: Tensor) -> PosteriorTable:
    """Build the table of the steps with ``alpha_bar``, float64 [K]; betas are those of the subset, not of the full schedule."""
    previous = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    beta = 1 - alpha_bar / previous
    beta_tilde = beta * (1 - previous) / (1 - alpha_bar)  # DDPM, Eq. 7
    first = beta_tilde[1:2] if len(beta) > 1 else beta  # a one-step table has no entry 1
    return PosteriorTable(
        alpha_bar=alpha_bar,
        alpha_bar_previous=previous,
        beta=beta,
        log_beta_tilde=torch.cat([first, beta_tilde[1:]]).log(),
        z0=beta * previous.sqrt() / (1 - alpha_bar),
        z=(1 - previous) * (1 - beta).sqrt() / (1 - alpha_bar),
    )


def noise_like(z: Tensor, generator: torch.Generator | Sequence[torch.Generator] | None) -> Tensor:
    """Return standard normal noise for ``z`` [B, ...], drawn on the CPU from one generator, or from one for each image."""
    if isinstance(generator, Sequence) and len(generator) == 1:
        generator = generator[0]
    if not isinstance(generator, Sequence):
        return moved(torch.randn(z.shape, generator=generator, dtype=z.dtype), z.device)
    return moved(torch.cat([torch.randn((1, *z.shape[1:]), generator=g, dtype=z.dtype) for g in generator]), z.device)


@dataclass(frozen=True, kw_only=True)
class Step:
    """Result of a scheduler step, with diffusers' field names."""

    prev_sample: Tensor
    """z at the next cleaner timestep, [B, C, H, W]."""
    pred_original_sample: Tensor | None = None
    """Predicted z_0, if the scheduler computes one."""


class RespacedScheduler:
    """DDPM, or DDIM if ``deterministic``, over a subset of the timesteps, with diffusers' interface.

    The network receives timesteps of the schedule it was trained with. ``timesteps`` runs from noise to image. ``step`` takes
    noise [B, C, ...], or noise and raw variance [B, 2C, ...]; DDIM ignores the variance.
    """

    order = 1
    init_noise_sigma = 1.0

    def __init__(
        self,
        alpha_bar: Tensor,
        *,
        deterministic: bool,
        eta: float = 0.0,
        clip: bool = True,
        spacing: str | None = None,
        variance: Variance = "fixed_small",
    ) -> None:
        """Start with all timesteps.

        Args:
            alpha_bar: of all timesteps, float64 [T].
            deterministic: True for DDIM with noise scale ``eta`` (1 matches DDPM with fixed_small variance), False for DDPM.
            eta: scale of DDIM's noise.
            clip: whether to clamp the predicted z_0 to [-1, 1].
            spacing: see ``respace``; default ``str(num_steps)``.
            variance: DDPM's variance: beta_tilde, beta, or the network's interpolation between them.
        """
        self.alpha_bar, self.deterministic, self.eta, self.clip = alpha_bar, deterministic, eta, clip
        self.spacing, self.variance = spacing, variance
        self.timesteps = torch.arange(len(alpha_bar) - 1, -1, -1)
        self._use(list(range(len(alpha_bar))))

    def _use(self, kept: list[int]) -> None:
        self._position = {t: k for k, t in enumerate(kept)}
        self._table = make_posterior_table(self.alpha_bar[kept])

    def set_timesteps(self, num_steps: int, device: torch.device | str | None = None) -> None:
        """Choose ``num_steps`` timesteps; raise UserError if ``spacing`` selects a different number."""
        kept = respace(len(self.alpha_bar), self.spacing or str(num_steps))
        if len(kept) != num_steps:
            raise UserError(f"spacing {self.spacing!r} keeps {len(kept)} steps, but num_steps is {num_steps}.")
        self._use(kept)
        self.timesteps = torch.tensor(kept[::-1], device=device)

    def scale_model_input(self, z: Tensor, t: Tensor | int | None = None) -> Tensor:
        """Return z unchanged: these samplers do not scale it."""
        return z

    def step(
        self,
        model_output: Tensor,
        t: Tensor | int,
        z: Tensor,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
    ) -> Step:
        """Step from z_t to the next cleaner timestep of the table.

        Args:
            model_output: predicted noise [B, C, ...], or noise and raw variance [B, 2C, ...].
            t: one of ``timesteps``.
            z: z_t, [B, C, ...].
            generator: noise source, either shared or one per image.
        """
        if (k := self._position.get(int(t))) is None:
            raise UserError(f"t = {int(t)} is not one of the {len(self._position)} timesteps of this table.")
        learned = model_output.shape[1] == 2 * z.shape[1]
        eps, raw = model_output.chunk(2, dim=1) if learned else (model_output, None)
        alpha_bar = float(self._table.alpha_bar[k])
        z0 = math.sqrt(1 / alpha_bar) * z - math.sqrt(1 / alpha_bar - 1) * eps
        z0 = z0.clamp(-1, 1) if self.clip else z0
        mean, std = self._ddim(k, z0, z) if self.deterministic else self._ddpm(k, z0, z, raw)
        if k > 0 and std is not None:
            mean = mean + std * noise_like(z, generator)
        return Step(prev_sample=mean, pred_original_sample=z0)

    def _ddpm(self, k: int, z0: Tensor, z: Tensor, raw: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean and standard deviation of p(z_s | z_t)."""
        if (raw is not None) != (self.variance == "learned_range"):
            raise UserError(
                f"variance is {self.variance}, but the network predicts {'no' if raw is None else 'a'} variance: "
                f"pass [B, {'2C' if raw is None else 'C'}, ...] or choose another variance."
            )
        table = self._table
        if raw is not None:
            log_variance = table.log_variance(k, raw)
        elif self.variance == "fixed_large" and k > 0:
            log_variance = table.beta[k].log()
        else:
            log_variance = table.log_beta_tilde[k]
        return float(table.z0[k]) * z0 + float(table.z[k]) * z, moved((0.5 * log_variance).exp(), z.device, z.dtype)

    def _ddim(self, k: int, z0: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the mean and standard deviation of DDIM, Eq. 12 and 16; the noise is recomputed from the clipped z_0."""
        alpha_bar, previous = float(self._table.alpha_bar[k]), float(self._table.alpha_bar_previous[k])
        eps = (math.sqrt(1 / alpha_bar) * z - z0) / math.sqrt(1 / alpha_bar - 1)
        std = self.eta * math.sqrt((1 - previous) / (1 - alpha_bar) * (1 - alpha_bar / previous))  # Eq. 16
        mean = math.sqrt(previous) * z0 + math.sqrt(1 - previous - std**2) * eps  # Eq. 12
        return mean, moved(torch.tensor(std), z.device, z.dtype) if std else None
