"""Identity of an edited face: cosine of face embeddings before and after the edit; higher is closer.

Collaborative Diffusion shows its edits only as pictures (Sec. 4.3), so there is no published number. "Identity-SFace":
YuNet finds the face and its five landmarks; the face is aligned to 112 pixels and embedded by SFace (Zhong et al. 2021).
Both are ONNX files from the OpenCV model zoo (MIT, Apache-2.0); this code has never been run on the released files. An image
without a face scores 0 and is counted. "Identity-EffNetLite0": cosine of EfficientNet-Lite0's pooled features, an offline
stand-in that knows objects, not persons. Its features are >= 0, so even strangers score far above 0: print a row of
strangers beside it.
"""

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.images import paired_batches
from lightning_mmdiff.metrics.networks import EffNetLite0
from lightning_mmdiff.metrics.results import MetricResult, mean_result


class FaceEmbedder(Protocol):
    """Evaluator of identity."""

    def embed(self, images: Tensor) -> Tensor:
        """Return unit vectors [B, D] of images, uint8 [B, 3, H, W]; a zero vector where no face is found."""


class EffNetIdentity:
    """Stand-in that embeds the whole picture."""

    def __init__(self, network: EffNetLite0 | None = None, *, device: str = "cpu") -> None:
        self.network = (network or EffNetLite0()).to(device)
        self.device = device

    def embed(self, images: Tensor) -> Tensor:
        """Return unit vectors [B, 1280] of images, uint8 [B, 3, H, W]."""
        return normalize(self.network(images.to(self.device)), dim=1).cpu()


class SFace:
    """YuNet and SFace in OpenCV, from local files, on the CPU."""

    dimension = 128

    def __init__(self, *, detector: Path | None = None, recognizer: Path | None = None) -> None:
        """Load both networks; defaults ``weights.require("yunet")`` and ``weights.require("sface")``."""
        detector, recognizer = detector or weights.require("yunet"), recognizer or weights.require("sface")
        try:
            self.detector = cv2.FaceDetectorYN.create(str(detector), "", (320, 320))  # keeps faces that score above .9
            self.recognizer = cv2.FaceRecognizerSF.create(str(recognizer), "")
        except cv2.error as error:
            raise UserError(f"{detector} or {recognizer} is not a readable ONNX file; get it again.") from error

    def embed(self, images: Tensor) -> Tensor:
        """Return unit vectors [B, 128] of the most certain face of images, uint8 [B, 3, H, W]; zeros without a face."""
        vectors = torch.zeros(len(images), self.dimension)
        for i, image in enumerate(images):
            picture = cv2.cvtColor(image.permute(1, 2, 0).cpu().numpy(), cv2.COLOR_RGB2BGR)  # OpenCV takes BGR
            self.detector.setInputSize((picture.shape[1], picture.shape[0]))
            _, faces = self.detector.detect(picture)  # [F, 15]: box, landmarks, score; None without a face
            if faces is not None and len(faces):
                aligned = self.recognizer.alignCrop(picture, faces[faces[:, -1].argmax()])
                vectors[i] = torch.from_numpy(self.recognizer.feature(aligned).ravel().copy())
        return normalize(vectors, dim=1)


@torch.inference_mode()
def identity_similarity(evaluator: FaceEmbedder, images: Tensor, originals: Tensor) -> tuple[NDArray[np.float64], int]:
    """Compare edited images with their originals, both uint8 [N, 3, H, W].

    Returns:
        The cosine of each pair, [N] in [-1, 1], 0 where either image shows no face; the number of such pairs.
    """
    cosines, num_failed = [], 0
    for edited, original in paired_batches(images, originals):
        x, y = evaluator.embed(edited).double(), evaluator.embed(original).double()
        num_failed += int(((x == 0).all(dim=1) | (y == 0).all(dim=1)).sum())
        cosines.append((x * y).sum(dim=1))
    return (torch.cat(cosines).numpy() if cosines else np.zeros(0)), num_failed


def identity_result(
    protocol: str, evaluator: FaceEmbedder, images: Tensor, originals: Tensor, /, *, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the mean of ``identity_similarity``; failed pairs count as 0 and their number is stated.

    Args:
        protocol: name of the metric.
        evaluator: embedder of faces.
        images: edited images, uint8 [N, 3, H, W].
        originals: images before the edit, uint8 [N, 3, H, W].
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    cosines, num_failed = identity_similarity(evaluator, images, originals)
    return mean_result(protocol, cosines, better="higher", seed=seed, images_without_face=num_failed, **extra)
