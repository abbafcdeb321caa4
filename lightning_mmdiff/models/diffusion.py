"""The interface of a trained diffusion model for methods that combine experts: its encoding, prediction and clean data."""

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
    """Conditions as network inputs; None for inputs that the network lacks."""

    channels: Tensor | None = None
    """Channels to concatenate to z, [B, C, H, W]."""
    embedding: Tensor | None = None
    """Input of every block: a vector [B, D] or tokens [B, L, D]."""
    labels: Tensor | None = None
    """Classes, int64 [B]."""


def stack(parts: Sequence[Encoded]) -> Encoded:
    """Concatenate the conditions of several batches, with rows in order."""
    return Encoded(
        channels=_cat([part.channels for part in parts]),
        embedding=_cat([part.embedding for part in parts]),
        labels=_cat([part.labels for part in parts]),
    )


def _cat(parts: Sequence[Tensor | None]) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None


class DiffusionModel(SeededTraining, SamplingModule):
    """A diffusion model p(z | conditions) of pixels or latents, usable as an expert by methods that combine several."""

    network: nn.Module
    """The denoising network, which fine-tuning copies."""
    condition_names: tuple[str, ...]
    """Names of the conditions that the model accepts. Omitting a name means the null condition."""
    own_tokens: str | None = None
    """Name of the tokens that the model's own encoder produces: no other expert may use it."""

    @abstractmethod
    def encode(self, conditions: Conditions, batch_size: int) -> Encoded:
        """Encode the ``conditions`` that the model knows, null where they are absent; ``batch_size`` is B."""

    @abstractmethod
    def predict_eps(self, z: Tensor, t: Tensor, encoded: Encoded) -> Tensor:
        """Return the predicted noise eps_theta(z_t, x, t), [B, C, H, W], for z_t [B, C, H, W] at t [B]."""

    @abstractmethod
    def clean(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return z_0 [B, C, H, W] of a batch: pixels in [-1, 1] or latents; all randomness comes from ``generator``."""

    @property
    def space(self) -> nn.Module | None:
        """What z_0 is an encoding by: None for pixels. Models of one space can share a latent."""
        return None

    def encode_image(self, image: Tensor) -> Tensor:
        """Return z_0 [B, C, H, W] of an image [B, 3, H, W] in [-1, 1], the inverse of ``decode``: pixels as they are."""
        return image

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise under ``conditions``, without guidance."""
        return self.predict_eps(z, t.to(z.device).expand(len(z)), self.encode(conditions, len(z)))
