"""The interface of a trained diffusion model for methods that combine experts: its encoding, prediction and clean data."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
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

    def rows(self, start: int, end: int) -> "Encoded":
        """Return the conditions of the rows ``start`` to ``end``, without the last."""
        parts = ((name, getattr(self, name)) for name in ("channels", "embedding", "labels"))
        return Encoded(**{name: None if part is None else part[start:end] for name, part in parts})


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


POSITIONS_PER_CALL = 64 * 256 * 256
"""Positions of z (pixels, or those of a latent) that a network gets at once: 64 images of 256 pixels, 29 GB of activations in
32-bit for Unite and Conquer's network. Four terms of 64 images would not fit a GPU of 80 GB."""


def rows_per_call(height: int, width: int) -> int:
    """Return the largest number of rows of a call for latents of this size."""
    return max(1, POSITIONS_PER_CALL // (height * width))


def in_calls(predict: Callable[[Tensor, Tensor, Encoded], Tensor], z: Tensor, t: Tensor, encoded: Encoded) -> Tensor:
    """Return ``predict(z, t, encoded)``, [B, C, H, W], from as few calls as memory allows; each row depends on itself alone.

    Args:
        predict: a model's ``predict_eps``.
        z: z_t, [B, C, H, W].
        t: timesteps, [B].
        encoded: conditions of the rows.
    """
    size = rows_per_call(*z.shape[2:])
    if len(z) <= size:
        return predict(z, t, encoded)
    starts = range(0, len(z), size)
    return torch.cat([predict(z[i : i + size], t[i : i + size], encoded.rows(i, i + size)) for i in starts])


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
        return self.predict_eps(z, t.expand(len(z)), self.encode(conditions, len(z)))
