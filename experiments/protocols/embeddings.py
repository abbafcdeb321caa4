"""How well a model tells the embedding of a clean test image that it sees alone, without the embedding in z_t (App. E.4)."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from experiments.core import build
from experiments.spec import SampleRun
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
from lightning_mmdiff.metrics.results import MetricResult, mean_result

JUDGE = "object-captions"
"""The image-text model whose embeddings are learned below paper."""


def embedding_result(protocol: str, run: SampleRun, runs: Path, image: Tensor, evaluators: Any) -> MetricResult:
    """Measure "EmbeddingCosine-..." or "EmbeddingRetrieval-..." of the model of ``run``.

    Args:
        protocol: which of them.
        run: its first expert is the model; the real images stand for the embedding itself.
        runs: folder of the trained models.
        image: test images, uint8 [N, 3, S, S].
        evaluators: give the image-text model, for the row of real images.

    Raises:
        FileNotFoundError: if weights are not on disk.
    """
    if run.method.is_real:
        embedder = _released() if protocol.endswith("CLIP-H") else evaluators[JUDGE]
        true = predicted = _batches(embedder.embed_images, image)
    else:
        model = build.trained(run.needs[0], runs)
        true, predicted = _batches(model.embedder.embed_images, image), predicted_embeddings(model, image)
    scores = retrieved if protocol.startswith("EmbeddingRetrieval") else cosines
    return mean_result(protocol, scores(predicted, true).double().numpy(), better="higher")


def cosines(predicted: Tensor, true: Tensor) -> Tensor:
    """Cosine of each predicted vector [N, D] and the true one, [N]."""
    return F.cosine_similarity(predicted, true, dim=1)


def retrieved(predicted: Tensor, true: Tensor) -> Tensor:
    """1 where the true vector of the same row is nearest (by cosine) to a predicted one, of [N, D]; ties count: [N]."""
    similarity = F.normalize(predicted, dim=1) @ F.normalize(true, dim=1).T
    return (similarity.diagonal() >= similarity.amax(dim=1) - 1e-6).float()


def predicted_embeddings(model: MTDiffusion, image: Tensor) -> Tensor:
    """What the model's first head of an embedding says of each image, [N, D]; its noise depends on the place alone."""
    name = next(m.name for m in model.modalities if isinstance(m, Embedding))
    rows = [
        model.predictions(batch, 0, torch.Generator().manual_seed(number))[name]
        for number, batch in enumerate(image.split(64))
    ]
    return torch.cat(rows).float()


def _batches(embed: Any, image: Tensor) -> Tensor:
    return torch.cat([embed(batch) for batch in image.split(64)]).float()


def _released() -> Any:
    from lightning_mmdiff import weights
    from lightning_mmdiff.networks.farl import load_clip  # imports transformers, which takes seconds

    return load_clip(weights.require("clip_h"))
