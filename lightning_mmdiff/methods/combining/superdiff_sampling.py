"""Sampling with SuperDiff's AND and OR (``superdiff``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.combining.scheduling import OwnSteps, all_generators, normal
from lightning_mmdiff.methods.combining.steps import clipped_noise
from lightning_mmdiff.methods.combining.superdiff import and_move, drift, log_density_gain, moved, or_weights
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig, Trained
from lightning_mmdiff.methods.unite_and_conquer import Expert, ExpertCombination, experts_of
from lightning_mmdiff.respaced import Step
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler

Operation = Literal["and", "or"]


class SuperDiff(ExpertCombination):
    """Experts superposed without guidance; weights and reliabilities are ignored.

    Args:
        experts: exactly two for "and".
        operation: which superposition.
        sampler: DDIM; the method always adds the noise of eta 1.
        sampling_seed: image i depends only on this seed and i.
    """

    def __init__(
        self, experts: Sequence[Expert], *, operation: Operation, sampler: Sampler, sampling_seed: int = 0
    ) -> None:
        super().__init__(experts, sampler=sampler, sampling_seed=sampling_seed)
        if operation == "and" and len(experts) != 2:
            raise UserError(f"SuperDiff's AND is for two experts, got {len(experts)}.")
        self.operation = operation

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the noise that each expert predicts, [B, N, C, H, W]."""
        requests = [(e.denoiser, e.conditions) for e in self.experts]
        return torch.stack(self.evaluate(z, t, requests, conditions), dim=1)

    def scheduler(self, batch: Mapping[str, Any]) -> "SuperDiffSteps":
        """Return the steps of one batch, which follow its log densities."""
        return SuperDiffSteps(self.sampler, self)


class SuperDiffSteps(OwnSteps):
    """Steps that remember each expert's log density of each image."""

    def __init__(self, sampler: Sampler, method: SuperDiff) -> None:
        super().__init__(sampler, method.schedule)
        self.method = method
        self.log_density: Tensor | None = None
        """Each expert's log density of each image, up to a constant, [N, B]."""

    def step(self, model_output: Tensor, t: Tensor, z: Tensor, generator: Any = None) -> Step:
        """Step from t to the next cleaner timestep.

        Args:
            model_output: noise of each expert, [B, N, C, H, W].
            t: one of ``timesteps``.
            z: z_t, [B, C, H, W].
            generator: noise source of each image.
        """
        eps, interval = model_output.transpose(0, 1), self.interval(t)
        if self.log_density is None:
            self.log_density = eps.new_zeros(eps.shape[:2])
        noise = normal(z.shape[1:], all_generators(generator), z)
        if self.method.operation == "and":
            center = self._clipped(z, eps.mean(dim=0), t)
            move = and_move(eps, interval, noise, center=center)
        else:
            center = torch.einsum("nb,nbchw->bchw", or_weights(self.log_density), eps)
            move = drift(self._clipped(z, center, t), interval, noise)
        self.log_density = self.log_density + log_density_gain(eps, move, interval)
        return Step(prev_sample=moved(z, move, interval))

    def _clipped(self, z: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        return clipped_noise(z, eps, self.interval(t)) if self.sampler.clip else eps


@dataclass(frozen=True, kw_only=True)
class Superpose(MethodConfig):
    """Config for SuperDiff."""

    experts: tuple[ExpertUse, ...]
    operation: Operation

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> SuperDiff:
        """Build the sampler."""
        experts = experts_of(self.experts, trained)
        return SuperDiff(experts, operation=self.operation, sampler=sampler, sampling_seed=seed)

    @property
    def calls_per_step(self) -> int:
        """One call for each expert."""
        return len(self.experts)
