"""Composable Diffusion as the papers' baseline: the plain mean of the experts' conditional predictions.

Liu et al. 2022, in the form of Collaborative Diffusion, Sec. 4.2. It has no unconditional term and thus no guidance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mmdiff.methods.config import ExpertUse, MethodConfig, Trained
from lightning_mmdiff.methods.unite_and_conquer import ExpertCombination, experts_of
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler


class Composable(ExpertCombination):
    """Average of the experts; weights and reliabilities are ignored."""

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the mean over experts of eps_i(z_t, x_i, t), [B, C, H, W]."""
        return torch.stack(self.evaluate(z, t, [(e.denoiser, e.conditions) for e in self.experts], conditions)).mean(0)


@dataclass(frozen=True, kw_only=True)
class Compose(MethodConfig):
    """Config for averaging experts."""

    experts: tuple[ExpertUse, ...]

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> Composable:
        """Build the mean of the experts."""
        return Composable(experts_of(self.experts, trained), sampler=sampler, sampling_seed=seed)

    @property
    def calls_per_step(self) -> int:
        """One call for each expert."""
        return len(self.experts)
