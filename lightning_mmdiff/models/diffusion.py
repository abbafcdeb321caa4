"""A trained diffusion model as every way to combine experts sees it: what it encodes, what it predicts, what it diffuses."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff.models.training import SeededTraining
from lightning_mmdiff.sampling import Conditions, SamplingModule


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Conditions as a network takes them; None for what it does not have."""

    channels: Tensor | None = None
    """Concatenated to z, [B, C, H, W]."""
    embedding: Tensor | None = None
    """For every block: a vector [B, D], or tokens [B, L, D]."""
    labels: Tensor | None = None
    """Classes, int64 [B]."""


def stack(parts: Sequence[Encoded]) -> Encoded:
    """Conditions of several batches as those of one, the rows in order."""
    return Encoded(
        channels=_cat([part.channels for part in parts]),
        embedding=_cat([part.embedding for part in parts]),
        labels=_cat([part.labels for part in parts]),
    )


def _cat(parts: Sequence[Tensor | None]) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None


class DiffusionModel(SeededTraining, SamplingModule):
    """A diffusion model p(z | conditions), in pixels or latents: an expert of those who combine several."""

    network: nn.Module
    """The denoising network, which fine-tuning copies."""
    condition_names: tuple[str, ...]
    """What the model can be asked about. A name that is absent means the null condition."""
    own_tokens: str | None = None
    """Name of the tokens that the model's own encoder makes: no other expert may use it."""

    @abstractmethod
    def encode(self, conditions: Conditions, batch_size: int) -> Encoded:
        """Those of ``conditions`` that the model knows, null where they are absent; ``batch_size`` is B."""

    @abstractmethod
    def predict_eps(self, z: Tensor, t: Tensor, encoded: Encoded) -> Tensor:
        """Predicted noise eps_theta(z_t, x, t), [B, C, H, W], for z_t [B, C, H, W] at t [B]."""

    @abstractmethod
    def clean(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """z_0 [B, C, H, W] of the images of a batch: pixels in [-1, 1], or latents; randomness is of ``generator``."""

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Plain conditional sampling, without guidance."""
        return self.predict_eps(z, t.to(z.device).expand(len(z)), self.encode(conditions, len(z)))
