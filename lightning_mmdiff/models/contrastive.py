"""A small CLIP-like model for mini, in the place of FaRL (Unite and Conquer, supplement 7.3).

Its loss is that of CLIP (Radford et al. 2021, Sec. 2.3 and Fig. 3), learned temperature included.
The diffusion model is trained on ``embed_images`` of the training image and sampled with ``embed_text`` of the caption.
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

MAX_SCALE = 100.0  # CLIP, Sec. 2.5: the learned scale is clipped to prevent an unstable training


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig(ModelConfig):
    """Architecture and training of the image and text encoders."""

    vocabulary: tuple[str, ...]
    """Words of the training captions, from ``networks.image_text.build_vocabulary``; others become one unknown word."""
    embedding_dim: int = 64
    """D, length of an embedding."""
    image_channels: tuple[int, int, int] = (32, 64, 96)
    """Channels at S/2, S/4 and S/8; multiples of 8."""
    text_width: int = 64
    text_layers: int = 2
    max_length: int = 48
    """Words; the rest of a longer caption is not read."""
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
    """Symmetric InfoNCE (CLIP, Fig. 3) in which all pairs with the same caption are positives, each with equal weight.

    Args:
        image: embeddings of the images, unit length, [B, D].
        text: embeddings of their captions, unit length, [B, D].
        scale: inverse temperature, a scalar.
        caption: a number for each caption, equal where captions are equal, int64 [B].

    Returns:
        Scalar; with B different captions this is CLIP's loss.
    """
    logits = scale * image @ text.T  # [B, B]
    positive = (caption[:, None] == caption[None, :]).to(logits.dtype)
    target = positive / positive.sum(dim=1, keepdim=True)  # symmetric, as equal captions have equally many positives
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def number_captions(captions: Sequence[str]) -> tuple[list[str], Tensor]:
    """Return the different captions in order of appearance, and for each caption its place among them, int64 [B]."""
    place = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    return list(place), torch.tensor([place[caption] for caption in captions])


class ContrastiveModel(SupervisedModel):
    """Image and caption to unit vectors of one space; matching pairs point in the same direction."""

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
        """Unit vectors [B, D] of images, uint8 [B, 3, S, S], with gradient."""
        return F.normalize(self.image_encoder(images.to_float(image)), dim=-1)

    def encode_text(self, captions: Sequence[str]) -> Tensor:
        """Unit vectors [B, D] of captions, with gradient."""
        tokens = self.text_encoder.tokenize(captions).to(self.log_scale.device)
        return F.normalize(self.text_encoder(tokens), dim=-1)

    @torch.no_grad()
    def embed_images(self, image: Tensor) -> Tensor:
        """Unit vectors [B, D] of images, uint8 [B, 3, S, S]; no gradient."""
        return self.encode_images(image)

    @torch.no_grad()
    def embed_text(self, captions: Sequence[str]) -> Tensor:
        """Unit vectors [B, D] of captions; no gradient."""
        return self.encode_text(captions)

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Contrastive loss of ``batch["image"]`` against ``batch["conditions"]["caption"]``, within this process."""
        captions, numbers = number_captions(batch["conditions"]["caption"])
        numbers = numbers.to(self.log_scale.device)
        text = self.encode_text(captions)[numbers]  # each different caption is encoded once
        return contrastive_loss(self.encode_images(batch["image"]), text, self.scale, numbers)
