"""Guidance that depends on time, as weights of Eq. 10: an interval (Kynkaanniemi et al. 2024), CFG++ (Chung et al. 2024)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.combining.steps import intervals
from lightning_mmdiff.methods.config import Trained
from lightning_mmdiff.methods.unite_and_conquer import Unite, UniteAndConquer, experts_of
from lightning_mmdiff.noise import NoiseSchedule
from lightning_mmdiff.schedules import Sampler, make_scheduler

WeightOf = Callable[[int], float]
"""Function from a timestep to the sum of the weights, W(t)."""


def in_interval(schedule: NoiseSchedule, total: float, low: float, high: float) -> WeightOf:
    """Return W(t): ``total`` where the noise level sigma / alpha is in (low, high], else 1, which is no guidance.

    Args:
        schedule: noise schedule of the sampler.
        total: sum of the weights inside.
        low: lowest noise level.
        high: highest noise level.
    """
    levels = (schedule.sigma / schedule.alpha).tolist()
    return lambda t: total if low < levels[t] <= high else 1.0


def plus_plus(schedule: NoiseSchedule, sampler: Sampler, strength: float) -> WeightOf:
    """Return W(t) = strength / (1 - sqrt(r)), with which guided DDIM is CFG++; r = SNR_t / SNR_s of the sampler's steps.

    Args:
        schedule: noise schedule of the sampler.
        sampler: DDIM, whose choice of timesteps decides r.
        strength: lambda of the paper, between 0 and 1.
    """
    scheduler = make_scheduler(sampler, schedule)
    scheduler.set_timesteps(sampler.num_steps)
    steps = intervals(schedule, scheduler.timesteps.tolist())
    weights = {t: strength / (1 - math.sqrt(step.snr_ratio)) for t, step in steps.items()}
    return lambda t: weights.get(t, strength)


@dataclass(frozen=True, kw_only=True)
class UniteInInterval(Unite):
    """Config for Eq. 10 with guidance in an interval of noise levels, and the weighted average of the experts elsewhere."""

    low: float
    """Lowest noise level sigma / alpha with guidance."""
    high: float
    """Highest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low < self.high:
            raise UserError(
                f"Guidance is between noise levels {self.low:g} and {self.high:g}; the first must be lower."
            )

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> UniteAndConquer:
        """Build the sampler."""
        experts = experts_of(self.experts, trained)
        weights = [use.weight for use in self.experts]
        total = in_interval(experts[0].denoiser.schedule, sum(weights), self.low, self.high)
        shared = [replace(e, weight=_share(total, w / sum(weights))) for e, w in zip(experts, weights)]
        return UniteAndConquer(shared, sampler=sampler, sampling_seed=seed)


@dataclass(frozen=True, kw_only=True)
class UnitePlusPlus(Unite):
    """Config for CFG++ of united experts, whose weights share W(t) equally."""

    strength: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("strength")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> UniteAndConquer:
        """Build the sampler."""
        experts = experts_of(self.experts, trained)
        total = plus_plus(experts[0].denoiser.schedule, sampler, self.strength)
        shared = [replace(e, weight=_share(total, 1 / len(experts))) for e in experts]
        return UniteAndConquer(shared, sampler=sampler, sampling_seed=seed)


def _share(total: WeightOf, share: float) -> WeightOf:
    return lambda t: share * total(t)
