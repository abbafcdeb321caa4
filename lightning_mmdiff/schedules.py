"""Noise schedules and samplers by name: from the names in a config to the objects that a method needs."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.noise import NoiseSchedule, match
from lightning_mmdiff.respaced import RespacedScheduler, Variance, noise_like, steps_of_sections

__all__ = [
    "NoiseSchedule",
    "Sampler",
    "SamplerName",
    "ScheduleName",
    "by_name",
    "cosine",
    "from_alpha_bar",
    "linear",
    "make_scheduler",
    "match",
    "scaled_linear",
]

ScheduleName = Literal["linear", "cosine", "scaled_linear", "stable_diffusion"]
SamplerName = Literal["ddpm", "ddim", "dpm-solver++", "unipc", "spaced-ddpm", "spaced-ddim"]


def from_alpha_bar(alpha_bar: Tensor) -> NoiseSchedule:
    """Return the variance-preserving schedule with ``alpha_bar``, float64 [T]."""
    return NoiseSchedule(alpha_bar.sqrt(), (1 - alpha_bar).sqrt())


def linear(num_steps: int = 1000) -> NoiseSchedule:
    """Return DDPM's schedule: betas 1e-4 to 2e-2 for 1000 steps (scaled for other lengths, as in ADM); last alpha_bar 4.04e-5."""
    scale = 1000 / num_steps
    betas = torch.linspace(scale * 1e-4, scale * 2e-2, num_steps, dtype=torch.float64, device="cpu")
    return from_alpha_bar((1 - betas).cumprod(0))


def scaled_linear(num_steps: int = 1000, *, first: float = 0.0015, last: float = 0.0195) -> NoiseSchedule:
    """Return latent diffusion's schedule: sqrt(beta) linear, beta from ``first`` to ``last``; last alpha_bar 1.42e-4."""
    scale = 1000 / num_steps
    root = torch.linspace(first**0.5, last**0.5, num_steps, dtype=torch.float64, device="cpu")
    return from_alpha_bar((1 - scale * root.square()).cumprod(0))


def cosine(num_steps: int = 1000) -> NoiseSchedule:
    """Return the cosine schedule (Improved DDPM, Eq. 17) with betas of at most 0.999; last alpha_bar 2.43e-9."""
    u = torch.arange(num_steps + 1, dtype=torch.float64, device="cpu") / num_steps
    alpha_bar = ((u + 0.008) / 1.008 * math.pi / 2).cos().square()
    return from_alpha_bar((1 - (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)).cumprod(0))


def by_name(name: ScheduleName, num_steps: int = 1000) -> NoiseSchedule:
    """Return the schedule named in a config."""
    match name:
        case "linear":
            return linear(num_steps)
        case "cosine":
            return cosine(num_steps)
        case "scaled_linear":
            return scaled_linear(num_steps)
        case "stable_diffusion":  # last alpha_bar 4.66e-3
            return scaled_linear(num_steps, first=0.00085, last=0.012)
    raise UserError(f"unknown schedule {name!r}; expected linear, cosine, scaled_linear or stable_diffusion.")


@dataclass(frozen=True, kw_only=True)
class Sampler(Config):
    """How to get from z_T to z_0. Every sampler takes predicted noise; none needs a network of its own.

    "spaced-ddpm" and "spaced-ddim" are OpenAI's respaced samplers (see ``respaced``); the others are from diffusers.
    """

    name: SamplerName
    num_steps: int  # network evaluations per image
    eta: float = 0.0  # DDIM: 0 is deterministic, 1 adds DDPM's noise
    clip: bool = True  # clamp the predicted z_0 to [-1, 1]: for pixels, not for latents
    spacing: str | None = None
    """Choice of timesteps. diffusers: "trailing" (default), "leading" (latent diffusion: 1, 21, ..., 981) or "linspace".
    Spaced: OpenAI's strings, e.g., "100" (the default is str(num_steps)), "ddim100", "10,10,3,2,2"."""
    variance: Variance = "fixed_small"  # DDPM: variance of the noise it adds

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "num_steps")
        self._shares("eta")
        if self.eta and self.name not in ("ddim", "spaced-ddim"):
            raise UserError(f"eta belongs to DDIM, but the sampler is {self.name}: leave it at 0.")
        if self.variance != "fixed_small" and self.name not in ("ddpm", "spaced-ddpm"):
            raise UserError(f"variance belongs to DDPM, but the sampler is {self.name}: leave it at fixed_small.")
        known = ("trailing", "leading", "linspace")
        if self.name.startswith("spaced"):
            kept = sum(steps_of_sections(self.spacing or str(self.num_steps)))
            if kept != self.num_steps:
                raise UserError(f"spacing {self.spacing!r} keeps {kept} steps, but num_steps is {self.num_steps}.")
        elif self.spacing not in (None, *known):
            raise UserError(f"spacing {self.spacing!r} is unknown to {self.name}; expected one of {known}.")


class DDIM(DDIMScheduler):
    """diffusers' DDIM with the sampler's eta, which recomputes the noise from the clipped z_0 as OpenAI's DDIM does.

    By default diffusers combines a clipped z_0 with the unclipped noise. They disagree: up to 2.0 away from OpenAI's result.
    """

    default_eta: float = 0.0

    def step(
        self,
        model_output: Tensor,
        timestep: int,
        sample: Tensor,
        eta: float | None = None,
        use_clipped_model_output: bool | None = None,
        generator: Any = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Take one diffusers step, with ``eta`` and ``use_clipped_model_output`` defaulting to the sampler's.

        Args:
            model_output: predicted noise, [B, C, H, W].
            timestep: one of ``timesteps``.
            sample: z_t, [B, C, H, W].
            eta: noise scale; None is the sampler's.
            use_clipped_model_output: whether to recompute the noise from the clipped z_0; None does so if the sampler clips.
            generator: noise source.
            variance_noise: noise to use in place of the generator's.
            return_dict: whether to return an object instead of a tuple.
        """
        eta = self.default_eta if eta is None else eta
        clipped = self.config["clip_sample"] if use_clipped_model_output is None else use_clipped_model_output
        if eta > 0 and variance_noise is None:
            variance_noise, generator = noise_like(model_output, generator), None
        return super().step(model_output, timestep, sample, eta, clipped, generator, variance_noise, return_dict)

    def _get_variance(self, timestep: int, prev_timestep: int) -> Tensor:
        """Return DDIM's variance (Eq. 16, eta = 1), reduced slightly if rounding lifts it above the variance of the next z.

        Otherwise the step would take the root of a negative number: with a cosine schedule in five steps, all samples were NaN.
        """
        variance = super()._get_variance(timestep, prev_timestep)
        alpha_bar = self.alphas_cumprod[prev_timestep] if prev_timestep >= 0 else self.final_alpha_cumprod
        return variance if variance.sqrt().square() <= 1 - alpha_bar else (1 - alpha_bar) * (1 - 3e-7)


class DPMSolver(DPMSolverMultistepScheduler):
    """DPM-Solver++ that clips z_0 to [-1, 1] if ``thresholding`` is set."""

    def _threshold_sample(self, sample: Tensor) -> Tensor:
        return sample.clamp(-1, 1)  # dynamic thresholding with a maximum of 1, without the sort


class UniPC(UniPCMultistepScheduler):
    """UniPC that clips z_0 to [-1, 1] if ``thresholding`` is set."""

    def _threshold_sample(self, sample: Tensor) -> Tensor:
        return sample.clamp(-1, 1)


def make_scheduler(sampler: Sampler, schedule: NoiseSchedule) -> Any:
    """Build the scheduler of ``sampler`` over the steps of ``schedule`` (variance preserving, else UserError).

    Call ``set_timesteps(sampler.num_steps)`` before each batch. Steps take predicted noise [B, C, H, W], or with
    ``variance="learned_range"`` noise and raw variance [B, 2C, H, W].
    """
    if sampler.name.startswith("spaced"):
        return RespacedScheduler(
            schedule.alpha_bar,
            deterministic=sampler.name == "spaced-ddim",
            eta=sampler.eta,
            clip=sampler.clip,
            spacing=sampler.spacing,
            variance=sampler.variance,
        )
    shared: dict[str, Any] = {
        "num_train_timesteps": len(schedule),
        "trained_betas": schedule.betas.tolist(),
        "prediction_type": "epsilon",
        "timestep_spacing": sampler.spacing or "trailing",
    }
    latent_diffusion = sampler.spacing == "leading"  # its timesteps start at 1 and end at alpha_bar_0, not at 1
    shared["steps_offset"] = int(latent_diffusion)
    if sampler.name == "ddpm":
        return DDPMScheduler(clip_sample=sampler.clip, variance_type=sampler.variance, **shared)
    if sampler.name == "ddim":
        scheduler = DDIM(clip_sample=sampler.clip, set_alpha_to_one=not latent_diffusion, **shared)
        scheduler.default_eta = sampler.eta
        return scheduler
    multistep = DPMSolver if sampler.name == "dpm-solver++" else UniPC
    return multistep(thresholding=sampler.clip, **shared)
