"""How well a model predicts a clean test image's embedding from the image alone, with no embedding in z_t (App. E.4)."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from experiments.core import build
from experiments.protocols.protocol import COSINE, SHARE, Protocol, image_mean
from experiments.protocols.samples import DEVICE, Samples, on_device
from experiments.spec import Range
from lightning_mmdiff import weights
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion


def cosines(predicted: Tensor, true: Tensor) -> Tensor:
    """Return the cosine between each predicted vector and the true one, both [N, D]: [N]."""
    return F.cosine_similarity(predicted, true, dim=1)


def retrieved(predicted: Tensor, true: Tensor) -> Tensor:
    """Return whether the true vector of its row is nearest (by cosine) to each predicted one, both [N, D]; ties count: [N]."""
    similarity = F.normalize(predicted, dim=1) @ F.normalize(true, dim=1).T
    return similarity.diagonal() >= similarity.amax(dim=1) - 1e-6


def predicted_embeddings(model: MTDiffusion, image: Tensor) -> Tensor:
    """Return the output of the model's first embedding head for each image, [N, D]; noise depends only on the image's index."""
    name = next(m.name for m in model.modalities if isinstance(m, Embedding))
    numbers = count()  # of the batches, which seed their noise
    return on_device(
        lambda batch: model.predictions(batch, 0, torch.Generator().manual_seed(next(numbers)))[name], image
    ).float()


def embeddings(samples: Samples, *, embedder: Callable[[Samples], Any]) -> tuple[Tensor, Tensor]:
    """Return the embeddings that the run's first expert predicts for the test images, and the true ones, each [N, D].

    For real images, return the true embeddings by ``embedder``, twice.
    """
    if samples.are_real:
        true = _batches(embedder(samples).embed_images, samples.real)
        return true, true
    model = build.trained(samples.run.needs[0], samples.folder.parent).to(DEVICE)
    return predicted_embeddings(model, samples.real), _batches(model.embedder.embed_images, samples.real)


def small_model(samples: Samples) -> Any:
    """Return the image-text model whose embeddings are learned below the paper profile."""
    return samples.evaluators["object-captions"]


def released_model(samples: Samples) -> Any:
    """Return CLIP ViT-H/14."""
    from lightning_mmdiff.networks.farl import load_clip  # imports transformers, which takes seconds

    return load_clip(weights.require("clip_h")).to(DEVICE)


small_embeddings = partial(embeddings, embedder=small_model)
released_embeddings = partial(embeddings, embedder=released_model)


def _batches(embed: Any, image: Tensor) -> Tensor:
    return on_device(embed, image).float()


def _mean(
    name: str,
    score: Callable[[Tensor, Tensor], Tensor],
    pairs: Callable[[Samples], tuple[Tensor, Tensor]],
    description: str,
    range: Range,
    weights: tuple[str, ...] = (),
) -> Protocol:
    def scores(samples: Samples) -> NDArray:
        return score(*samples.once(pairs)).numpy()

    return image_mean(name, scores, better="higher", description=description, weights=weights, range=range)


PROTOCOLS = (
    _mean(
        "EmbeddingCosine-CLIP-H", cosines, released_embeddings,
        "Cosine of the predicted and the true CLIP ViT-H/14 embedding of test images, mean.", COSINE, ("clip_h",),
    ),
    _mean(
        "EmbeddingRetrieval-CLIP-H", retrieved, released_embeddings,
        "Share of test images whose predicted embedding is nearer to theirs than to any other's.", SHARE, ("clip_h",),
    ),
    _mean(
        "EmbeddingCosine-MiniCLIP", cosines, small_embeddings,
        "As EmbeddingCosine-CLIP-H, with our small image-text model.", COSINE,
    ),
    _mean(
        "EmbeddingRetrieval-MiniCLIP", retrieved, small_embeddings,
        "As EmbeddingRetrieval-CLIP-H, with our small image-text model.", SHARE,
    ),
)  # fmt: skip
