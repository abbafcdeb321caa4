"""A small CLIP-like model that replaces FaRL in the mini profile (Unite and Conquer, supplement 7.3).

Its loss is CLIP's (Radford et al. 2021, Sec. 2.3 and Fig. 3), including the learned temperature. The diffusion model is
trained on ``embed_images`` of the training image and sampled with ``embed_text`` of the caption.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff import images
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.training import SupervisedModel
from lightning_mmdiff.networks.image_text import HEADS, ImageEncoder, TextEncoder
from lightning_mmdiff.optimization import OptimizerConfig

MAX_SCALE = 100.0  # CLIP, Sec. 2.5: the learned scale is clipped to keep training stable


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig(ModelConfig):
    """Architecture and training of the image and text encoders."""

    vocabulary: tuple[str, ...]
    """Words of the training captions, from ``networks.image_text.build_vocabulary``; all others map to one unknown word."""
    embedding_dim: int = 64
    """D, length of an embedding."""
    image_channels: tuple[int, int, int] = (32, 64, 96)
    """Channels at S/2, S/4 and S/8; multiples of 8."""
    text_width: int = 64
    text_layers: int = 2
    max_length: int = 48
    """Maximum number of words read from a caption; the rest is ignored."""
    initial_temperature: float = 0.07
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-3, weight_decay=0.01, warmup_steps=50, decay_steps=600)

    def build(self, *, seed: int) -> "ContrastiveModel":
        """Build the model."""
        return ContrastiveModel(self, seed=seed)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.vocabulary:
            raise UserError("ContrastiveConfig.vocabulary is empty: build it with build_vocabulary(training captions).")
        self._at_least(1, "embedding_dim", "text_layers", "max_length")
        self._multiples(8, "image_channels")
        self._multiples(HEADS, "text_width")
        self._require(lambda value: value >= 1 / MAX_SCALE, f"at least {1 / MAX_SCALE}", "initial_temperature")


def contrastive_loss(image: Tensor, text: Tensor, scale: Tensor, caption: Tensor) -> Tensor:
    """Return the symmetric InfoNCE loss (CLIP, Fig. 3) with all pairs of equal captions as equally weighted positives.

    Args:
        image: unit-length image embeddings, [B, D].
        text: unit-length caption embeddings, [B, D].
        scale: inverse temperature, a scalar.
        caption: integer ID of each caption, equal for equal captions, int64 [B].

    Returns:
        Scalar; equal to CLIP's loss if all B captions differ.
    """
    logits = scale * image @ text.T  # [B, B]
    positive = (caption[:, None] == caption[None, :]).to(logits.dtype)
    target = positive / positive.sum(dim=1, keepdim=True)  # symmetric: equal captions have the same number of positives
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def number_captions(captions: Sequence[str]) -> tuple[list[str], Tensor]:
    """Return the distinct captions in order of appearance, and each caption's index among them, int64 [B]."""
    place = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    return list(place), torch.tensor([place[caption] for caption in captions])


class ContrastiveModel(SupervisedModel):
    """Maps images and captions to unit vectors in a shared space; matching pairs point in the same direction."""

    def __init__(self, config: ContrastiveConfig, *, seed: int = 0) -> None:
        super().__init__(config.optimizer, seed=seed)
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.image_encoder = ImageEncoder(config.embedding_dim, config.image_channels)
            self.text_encoder = TextEncoder(
                config.embedding_dim,
                config.vocabulary,
                width=config.text_width,
                num_layers=config.text_layers,
                max_length=config.max_length,
            )
        self.log_scale = nn.Parameter(torch.tensor(1 / config.initial_temperature).log())

    @property
    def embedding_dim(self) -> int:
        """Length of an embedding."""
        return self.config.embedding_dim

    @property
    def scale(self) -> Tensor:
        """Inverse temperature, at most 100."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def encode_images(self, image: Tensor) -> Tensor:
        """Return unit vectors [B, D] for images, uint8 [B, 3, S, S], with gradient."""
        return self.embed_pixels(images.to_float(image))

    def embed_pixels(self, x: Tensor) -> Tensor:
        """Return unit vectors [B, D] for images in model range, float [B, 3, S, S], with gradient."""
        return F.normalize(self.image_encoder(x), dim=-1)

    def encode_text(self, captions: Sequence[str]) -> Tensor:
        """Return unit vectors [B, D] for captions, with gradient."""
        tokens = self.text_encoder.tokenize(captions).to(self.log_scale.device)
        return F.normalize(self.text_encoder(tokens), dim=-1)

    @torch.no_grad()
    def embed_images(self, image: Tensor) -> Tensor:
        """Return unit vectors [B, D] for images, uint8 [B, 3, S, S], without gradient."""
        return self.encode_images(image)

    @torch.no_grad()
    def embed_text(self, captions: Sequence[str]) -> Tensor:
        """Return unit vectors [B, D] for captions, without gradient."""
        return self.encode_text(captions)

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the contrastive loss of ``batch["image"]`` and ``batch["conditions"]["caption"]``, within this process."""
        captions, numbers = number_captions(batch["conditions"]["caption"])
        numbers = numbers.to(self.log_scale.device)
        text = self.encode_text(captions)[numbers]  # each distinct caption is encoded once
        return contrastive_loss(self.encode_images(batch["image"]), text, self.scale, numbers)
