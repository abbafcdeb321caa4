"""Agreement of an image with its caption: the cosine of their embeddings; higher is better.

"CLIPScore": OpenAI's CLIP ViT-B/32, 100 times the mean cosine over images, not clamped at 0 (Collaborative Diffusion,
Table 1); "CLIPCosine": the cosine itself (Unite and Conquer, Table 3). Neither paper names its CLIP; the magnitudes fit
ViT-B/32. Images are resized (bicubic, antialiased) to 224 pixels, without the released preprocessing's rounding to 8 bits.
"TextScore-MiniCLIP": 100 times the mean cosine of our small image-text model (``methods.contrastive``), which must not be
the model that conditions. FaRL conditions Unite and Conquer, so it never serves as an evaluator either.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.images import check_images
from lightning_mmdiff.metrics.results import MetricResult, mean_result
from lightning_mmdiff.networks import farl
from lightning_mmdiff.networks.farl import ClipEmbedder

BATCH = 32  # images


class ImageTextModel(Protocol):
    """Evaluator of text, such as ``ClipEmbedder`` and ``ContrastiveModel``."""

    def embed_images(self, image: Tensor) -> Tensor:
        """Return unit vectors [B, D] of images, uint8 [B, 3, S, S]."""

    def embed_text(self, captions: Sequence[str]) -> Tensor:
        """Return unit vectors [B, D] of captions."""


def load_clip(folder: Path | None = None) -> ClipEmbedder:
    """Load CLIP from a local folder in Hugging Face's format; default ``weights.require("clip")``."""
    return farl.load_clip(folder or weights.require("clip"))


@torch.inference_mode()
def text_similarity(model: ImageTextModel, images: Tensor, captions: Sequence[str]) -> NDArray[np.float64]:
    """Return the cosine of each image and its caption, [N] in [-1, 1].

    Args:
        model: the evaluator.
        images: uint8 RGB, [N, 3, S, S].
        captions: caption that each image was made from, N in total.
    """
    check_images(images)
    if len(captions) != len(images):
        raise UserError(f"{len(images)} images and {len(captions)} captions: give the caption of each image.")
    cosines = []
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        pictures, texts = model.embed_images(images[part]), model.embed_text(captions[part])
        cosines.append((pictures.double() * texts.double()).sum(dim=1).cpu().numpy())
    return np.concatenate(cosines) if cosines else np.zeros(0)


def text_result(
    protocol: str, cosines: NDArray, /, *, scale: float = 100.0, num: int = 1000, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the mean of the scaled cosines.

    Args:
        protocol: name of the metric.
        cosines: from ``text_similarity``, [N].
        scale: factor on the cosines; 1 for "CLIPCosine".
        num: number of replicates.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    return mean_result(protocol, scale * np.asarray(cosines), better="higher", num=num, seed=seed, **extra)
