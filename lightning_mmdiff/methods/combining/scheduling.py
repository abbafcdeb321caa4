"""What the samplers of this folder share: their own steps over a scheduler's timesteps, and noise drawn image by image."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.combining.steps import Interval, intervals
from lightning_mmdiff.noise import NoiseSchedule
from lightning_mmdiff.sampling import SchedulerWrapper
from lightning_mmdiff.schedules import Sampler, make_scheduler


class OwnSteps(SchedulerWrapper):
    """DDIM's timesteps, for a subclass that takes the steps itself.

    Args:
        sampler: DDIM, of which the number and choice of steps, eta and clipping are used.
        schedule: noise schedule.

    Raises:
        UserError: if the sampler is not DDIM.
    """

    def __init__(self, sampler: Sampler, schedule: NoiseSchedule) -> None:
        if sampler.name not in ("ddim", "spaced-ddim"):
            raise UserError(
                f"This method takes DDIM's steps itself; its sampler must be ddim or spaced-ddim, not {sampler.name}."
            )
        super().__init__(make_scheduler(sampler, schedule))
        self.sampler, self.schedule = sampler, schedule
        self.intervals: dict[int, Interval] = {}

    def set_timesteps(self, num_steps: int, device: torch.device | str | None = None) -> None:
        """Choose the timesteps for a batch."""
        super().set_timesteps(num_steps, device=device)
        self.intervals = intervals(self.schedule, self.timesteps.tolist())

    def interval(self, t: Tensor) -> Interval:
        """Return the step that starts at t."""
        return self.intervals[int(t)]


def normal(shape: Sequence[int], generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Return N(0, I) of ``shape`` for each image, [B, *shape]; image i draws only from ``generators[i]``.

    Args:
        shape: shape of one image's noise.
        generators: one for each image.
        like: tensor that gives device and dtype.
    """
    return torch.stack([torch.randn(tuple(shape), generator=g) for g in generators]).to(like)


def uniform(count: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Return uniform draws in [0, 1) for each image, [B, count], on the CPU."""
    return torch.stack([torch.rand(count, generator=g) for g in generators])


def all_generators(generator: Any) -> Sequence[torch.Generator]:
    """Return the images' generators, which every sampling loop passes on."""
    assert generator, "the sampling loop gives each image its generator"
    return generator
