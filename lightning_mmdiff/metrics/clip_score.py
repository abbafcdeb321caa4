"""Agreement of an image with its caption: the cosine of their embeddings; higher is better.

"CLIPScore": CLIP ViT-B/32 of OpenAI, 100 times the mean cosine over images, not clamped at 0 (Collaborative Diffusion,
Table 1); "CLIPCosine": the cosine itself (Unite and Conquer, Table 3). Neither paper names its CLIP; the magnitudes fit
ViT-B/32. Images are resized (bicubic, antialiased) to 224 pixels without the rounding to 8 bits of the released preprocessing.
"TextScore-MiniCLIP": 100 times the mean cosine of our small image-text model (``methods.contrastive``), which must be
another model than the one that conditions. FaRL conditions Unite and Conquer, so it never evaluators either.
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
    """What evaluators text: ``ClipEmbedder`` and ``ContrastiveModel`` are two."""

    def embed_images(self, image: Tensor) -> Tensor:
        """Unit vectors [B, D] of images, uint8 [B, 3, S, S]."""

    def embed_text(self, captions: Sequence[str]) -> Tensor:
        """Unit vectors [B, D] of captions."""


def load_clip(folder: Path | None = None) -> ClipEmbedder:
    """CLIP from a local folder in Hugging Face's format; default ``weights.require("clip")``."""
    return farl.load_clip(folder or weights.require("clip"))


@torch.inference_mode()
def text_similarity(model: ImageTextModel, images: Tensor, captions: Sequence[str]) -> NDArray[np.float64]:
    """Return the cosine of each image and its caption, [N] in [-1, 1].

    Args:
        model: the evaluator.
        images: uint8 RGB, [N, 3, S, S].
        captions: the caption that each image was made from, N of them.
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
    """Return the mean of ``scale`` times the ``cosines`` [N]; ``scale`` is 1 for "CLIPCosine"."""
    return mean_result(protocol, scale * np.asarray(cosines), better="higher", num=num, seed=seed, **extra)
