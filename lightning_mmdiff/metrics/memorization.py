"""Copies of training images among the samples, found as Carlini et al. (2023, Sec. 5.1) do; lower is better.

The score of an image is its distance to the nearest training image over the mean distance to the 50 nearest: small only if one
image stands out, while a blurred or average picture is about as near to all of them. Carlini et al. call an image a copy where
the ratio of its pixels is below a fixed number. Here the bound comes from real images that no model was trained on, as in
Meehan et al. (2020): a sample is a copy if its ratio is below that of all but 0.5 % of them, in one of two spaces. Neither is
enough alone. Of copies of rendered faces at 32 px, thumbnails of 32 px see all with noise or blur, but 3 % of mirrored ones;
EfficientNet's features see all mirrored ones, but 8 % of those with noise of 3 gray levels. Together they see them all, and call
.9 % of 2,000 new faces copies: 1 % is expected of a generator that copies nothing (two in M if M, the held-out images, are few).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.bootstrap import resamples
from lightning_mmdiff.metrics.images import check_images
from lightning_mmdiff.metrics.precision_recall import squared_distances
from lightning_mmdiff.metrics.results import MetricResult

Array = NDArray[np.float64]
NEIGHBORS = 50
SHARE = 0.005
"""Share of held-out images below the bound, in each space."""
THUMBNAIL = 32  # pixels
SAMPLE = 1000  # training images that give the center


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """Ratios (``distance_ratios``) in one space."""

    samples: Array  # [N]
    held_out: Array  # [M]


def thumbnails(images: Tensor) -> NDArray[np.uint8]:
    """Return uint8 ``images`` [B, 3, H, W], averaged down to at most 32 x 32 pixels, as rows [B, 3 h w]."""
    check_images(images)
    size = [min(side, THUMBNAIL) for side in images.shape[2:]]
    return interpolate(images.float(), size, mode="area").round().byte().flatten(1).cpu().numpy()


def distance_ratios(x: NDArray, training: NDArray, *, k: int = NEIGHBORS, device: str = "cpu") -> Array:
    """Return the distance to the nearest row of ``training`` over the mean distance to the ``k`` nearest.

    Args:
        x: images as vectors, [N, D].
        training: training images as vectors, [T, D]; all of them count if there are fewer than ``k``.
        k: number of neighbors in the mean.
        device: "cpu" or "cuda".
    """
    k = min(k, len(training))
    if k < 2:
        raise UserError(f"{k} training images have no neighbors to compare: a check for copies needs two or more.")
    if not (np.isfinite(x).all() and np.isfinite(training).all()):
        raise UserError("A check for copies needs finite features; an image has NaN or infinite ones.")
    center = np.median(training[:SAMPLE].astype(np.float64), axis=0)  # smaller numbers cancel less in a distance
    points, neighbors = (torch.from_numpy((a - center).astype(np.float32)).to(device) for a in (x, training))
    ratios = []
    for _, distance in squared_distances(points, neighbors):
        nearest = distance.topk(k, dim=1, largest=False).values.sqrt()
        ratios.append(nearest.amin(dim=1) / nearest.mean(dim=1).clamp(min=1e-12))
    return torch.cat(ratios).double().cpu().numpy()


def copies_result(
    protocol: str, spaces: Sequence[Nearness], /, *, num: int = 200, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the share of samples that are copies in at least one of the ``spaces``.

    Replicates, for differences of rows, resample the samples and, for the bounds, the held-out images.

    Args:
        protocol: name of the metric.
        spaces: ratios of the same images in each space.
        num: number of replicates.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    n, m = len(spaces[0].samples), len(spaces[0].held_out)
    replicates = [_share(spaces, i, j) for i, j in zip(resamples(n, num, seed), resamples(m, num, seed))]
    return MetricResult(
        protocol=protocol,
        value=_share(spaces, np.arange(n), np.arange(m)),
        n=n,
        better="lower",
        replicates=np.array(replicates),
        share=True,
        extra=extra,
    )


def _share(spaces: Iterable[Nearness], samples: NDArray[np.int64], held_out: NDArray[np.int64]) -> float:
    copies = [s.samples[samples] < np.quantile(s.held_out[held_out], SHARE) for s in spaces]
    return float(np.any(copies, axis=0).mean())
