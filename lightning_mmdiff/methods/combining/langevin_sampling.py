"""Sampling with Langevin correctors at every noise level (``langevin``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.langevin import langevin, metropolis
from lightning_mmdiff.methods.combining.scheduling import OwnSteps, all_generators, normal, uniform
from lightning_mmdiff.methods.config import Trained
from lightning_mmdiff.methods.unite_and_conquer import Expert, Unite, UniteAndConquer, experts_of
from lightning_mmdiff.respaced import Step
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler


class Corrected(UniteAndConquer):
    """Eq. 10 with correctors at the level of each step but the first, where z_T needs none.

    Args:
        experts: the experts.
        corrections: Langevin steps at each level.
        delta: step size in units of sigma_t^2.
        adjusted: whether to accept or reject each step (MALA).
        sampler: DDIM.
        sampling_seed: image i depends only on this seed and i.
    """

    def __init__(
        self, experts: Sequence[Expert], *, corrections: int, delta: float, adjusted: bool, sampler: Sampler,
        sampling_seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(experts, sampler=sampler, sampling_seed=sampling_seed)
        self.corrections, self.delta, self.adjusted = corrections, delta, adjusted

    def scheduler(self, batch: Mapping[str, Any]) -> "CorrectedSteps":
        """Return steps and corrections under the conditions of ``batch``."""
        return CorrectedSteps(self.sampler, self, batch["encoded"])


class CorrectedSteps(OwnSteps):
    """The inner scheduler's steps, each but the first after corrections at the level where it starts.

    The noise predicted for the step serves the first correction, and that of the last correction serves the step.
    """

    def __init__(self, sampler: Sampler, method: Corrected, conditions: Conditions) -> None:
        super().__init__(sampler, method.schedule)
        self.method, self.conditions = method, conditions

    def step(self, model_output: Tensor, t: Tensor, z: Tensor, generator: Any = None) -> Step:
        """Correct at t and step to the next cleaner timestep.

        Args:
            model_output: combined noise, [B, C, H, W].
            t: one of ``timesteps``.
            z: z_t, [B, C, H, W].
            generator: noise source of each image.
        """
        eps = model_output
        if int(t) != int(self.timesteps[0]):
            z, eps = self._corrected(z, eps, t, all_generators(generator))
        return Step(prev_sample=super().step(eps, t, z, generator).prev_sample)

    def _corrected(
        self, z: Tensor, eps: Tensor, t: Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        method, sigma = self.method, self.interval(t).sigma

        def predict(x: Tensor) -> Tensor:
            return method.predict_noise(x, t, self.conditions)

        for _ in range(method.corrections):
            noise = normal(z.shape[1:], generators, z)
            if method.adjusted:
                draws = uniform(1, generators)[:, 0].to(z)
                z, eps, _ = metropolis(z, eps, predict, sigma, delta=method.delta, noise=noise, uniform=draws)
            else:
                z = langevin(z, eps, sigma, delta=method.delta, noise=noise)
                eps = predict(z)
        return z, eps


@dataclass(frozen=True, kw_only=True)
class UniteCorrected(Unite):
    """Config for uniting experts with Langevin correctors."""

    corrections: int = 3
    delta: float = 0.1
    """Step size in units of sigma_t^2; stable below 2 / (sigma_t^2 x largest precision)."""
    adjusted: bool = False
    """Whether to accept or reject each step (MALA)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "corrections")
        self._positive("delta")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> Corrected:
        """Build the sampler."""
        return Corrected(
            experts_of(self.experts, trained), corrections=self.corrections, delta=self.delta, adjusted=self.adjusted,
            sampler=sampler, sampling_seed=seed,
        )  # fmt: skip

    @property
    def calls_per_step(self) -> int:
        """Those of Eq. 10, once for the step and once for each correction; the first step has none."""
        return super().calls_per_step * (1 + self.corrections)
