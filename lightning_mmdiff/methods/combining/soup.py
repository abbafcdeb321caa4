"""Weight soup (Diffusion Soup, Biggs et al., ECCV 2024): one network whose weights are the mean of its experts' weights.

The experts are fine-tuned from one base, each on its own condition, and share an architecture that knows all conditions. The
soup is asked for all of them together, which no expert ever was: one evaluation a step instead of one for each expert.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig, Trained
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.diffusion import DiffusionModel
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


def mean_weights(states: Sequence[dict[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """Return sum_i a_i theta_i; entries that are not floating-point numbers, such as counters, are those of the first.

    Args:
        states: state dicts of one architecture.
        shares: a_i, sum 1.

    Raises:
        UserError: if the experts' weights differ in name or shape.
    """
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise UserError("A soup needs experts of one architecture; the weights of these differ in name or shape.")
    return {
        name: sum((a * state[name] for a, state in zip(shares, states)), torch.zeros_like(value))
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }


def soup(models: Sequence[DiffusionModel], shares: Sequence[float]) -> DiffusionModel:
    """Return a copy of the first model with the mean weights of all ``models``; a frozen embedder is not averaged.

    Args:
        models: fine-tuned from one base.
        shares: a_i, sum 1.
    """
    mixed = copy.copy(models[0])  # shares what is frozen
    mixed._modules = dict(models[0]._modules)
    for name, part in models[0].named_children():
        if name not in getattr(models[0], "unsaved", ()):
            parts: list[nn.Module] = [model.get_submodule(name) for model in models]
            averaged = copy.deepcopy(part)
            averaged.load_state_dict(mean_weights([p.state_dict() for p in parts], shares))
            mixed._modules[name] = averaged
    return mixed


@dataclass(frozen=True, kw_only=True)
class Soup(MethodConfig):
    """Config for sampling from the mean weights of experts under all their conditions together."""

    experts: tuple[ExpertUse, ...]
    """Fine-tuned from one base; reliabilities are the shares of their weights, weights are ignored."""
    guidance: float = 1.0
    """1 is the soup's own prediction."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("guidance")
        if not math.isclose(sum(self.shares), 1, abs_tol=1e-6):
            raise UserError(f"The shares of a soup sum to 1; {list(self.shares)} sum to {sum(self.shares):g}.")

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each expert's weights, equal where none is given."""
        even = 1 / max(1, len(self.experts))
        return tuple(even if use.reliability is None else use.reliability for use in self.experts)

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> UniteAndConquer:
        """Build the sampler of the averaged model."""
        mixed = soup([trained(use.run) for use in self.experts], self.shares)
        names = tuple(dict.fromkeys(name for use in self.experts for name in use.conditions))
        one = Expert(denoiser=mixed, conditions=names, weight=self.guidance)
        return UniteAndConquer([one], sampler=sampler, sampling_seed=seed)

    @property
    def calls_per_step(self) -> int:
        """One call, and one without conditions for guidance."""
        return 1 if math.isclose(self.guidance, 1) else 2

    @property
    def trained_to_combine(self) -> tuple[ModelSource, ...]:
        """The experts themselves: no others could be averaged."""
        return self.needs
