"""Autoguidance (Karras et al., NeurIPS 2024): away from a weak copy under the same condition, instead of from no condition.

    eps_c = sum_i w_i eps_i(x_i) - (W - 1) sum_j a_j eps'_j(x_j)

eps'_j -> the weak copy of expert j, trained for a part of its steps
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import ExpertUse, Trained
from lightning_mmdiff.methods.unite_and_conquer import (
    Expert,
    ExpertCombination,
    Unite,
    UniteAndConquer,
    experts_of,
    unite,
)
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

WEAK = "encoded for the weak copies"
"""Key of the copies' conditions among the encoded ones: an encoder that is trained with its network is weaker, too."""


class Autoguided(UniteAndConquer):
    """Eq. 10 with weak copies of the experts, given the same conditions, in place of the unconditional models.

    Args:
        experts: the experts, with weights and reliabilities.
        weak: the weak copy of each; its conditions are used, its weight and reliability are not.
        sampler: steps from z_T to z_0.
        sampling_seed: image i depends only on this seed and i.
    """

    def __init__(
        self, experts: Sequence[Expert], weak: Sequence[Expert], *, sampler: Sampler, sampling_seed: int = 0
    ) -> None:
        super().__init__(experts, sampler=sampler, sampling_seed=sampling_seed)
        self.weak = WeakCopies(weak, sampler=sampler)
        self.weak.schedule = self.schedule  # z is on the schedule of the first expert

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Encode the conditions with the experts and, apart, with their copies."""
        return {**super().encode_conditions(conditions), WEAK: self.weak.encode_conditions(conditions)}

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the combined noise, [B, C, H, W]."""
        weight, reliability = self.coefficients(int(t))
        strong = self.evaluate(z, t, [(e.denoiser, e.conditions) for e in self.experts], conditions)
        weak = self.weak.predict_noise(z, t, conditions[WEAK])
        return unite(torch.stack(strong), weak, z.new_tensor(weight), z.new_tensor(reliability))


class WeakCopies(ExpertCombination):
    """The weak copies of all experts, each under its own conditions."""

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the noise that each copy predicts, [N, B, C, H, W]."""
        return torch.stack(self.evaluate(z, t, [(e.denoiser, e.conditions) for e in self.experts], conditions))


@dataclass(frozen=True, kw_only=True)
class UniteAutoguided(Unite):
    """Config for uniting experts guided by weak copies of themselves."""

    weak: tuple[ExpertUse, ...]
    """The weak copy of each expert, under its conditions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if [use.conditions for use in self.weak] != [use.conditions for use in self.experts]:
            raise UserError("Autoguidance needs a weak copy of each expert under the same conditions.")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> Autoguided:
        """Build the sampler."""
        return Autoguided(
            experts_of(self.experts, trained), experts_of(self.weak, trained), sampler=sampler, sampling_seed=seed
        )

    @property
    def trained_to_combine(self) -> tuple[ModelSource, ...]:
        """The weak copies."""
        return tuple(dict.fromkeys(use.run for use in self.weak))
