"""Improved precision and recall (Kynkaanniemi et al. 2019, Eq. 1-3) as ADM's evaluator defines them; higher is better.

The manifold of a set is the union of balls, one around each feature, whose radius is the distance to the k-th nearest
other feature of the set. Precision: share of generated features inside the manifold of the reference. Recall: share of
reference features inside the manifold of the generated ones. (torch-fidelity prints the two the other way around.)

"Precision", "Recall": k = 3, Inception's pooled features after ADM's resize (``networks.AdmInception``), all samples
against 10,000 reference images. "Precision-EffNetLite0", "Recall-EffNetLite0": the same on EfficientNet-Lite0's.
Deviation: ADM compares squared distances in float16; here they are computed in float32 from centered features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.bootstrap import bootstrap_mean, resamples
from lightning_mmdiff.metrics.results import MetricResult

NEIGHBORS = 3  # k
BLOCK = 2**25  # distances held at once: 128 MiB


@dataclass(frozen=True, kw_only=True)
class Membership:
    """Membership of each feature in the manifold of the other set."""

    precise: NDArray[np.bool_]
    """Membership of the generated features, [N]; the mean is the precision."""
    recalled: NDArray[np.bool_]
    """Membership of the reference features, [M]; the mean is the recall."""


def membership(features: NDArray, reference: NDArray, *, k: int = NEIGHBORS, device: str = "cpu") -> Membership:
    """Compare two sets of features; a feature on the border of a ball is inside.

    Args:
        features: of the generated images, [N, D].
        reference: of the reference images, [M, D].
        k: number of the neighbor that sets the radius of a ball.
        device: "cpu" or "cuda".
    """
    x, y = centered(features, reference, k, device)
    radius_x, radius_y = squared_radii(x, k), squared_radii(y, k)
    precise = torch.zeros(len(x), dtype=torch.bool, device=device)
    recalled = torch.zeros(len(y), dtype=torch.bool, device=device)
    for rows, distance in squared_distances(x, y):
        precise[rows] = (distance <= radius_y).any(dim=1)
        recalled |= (distance <= radius_x[rows, None]).any(dim=0)
    return Membership(precise=precise.cpu().numpy(), recalled=recalled.cpu().numpy())


def squared_radii(x: Tensor, k: int) -> Tensor:
    """Return the squared distance of each row of ``x`` [N, D] to its k-th nearest other row, [N]."""
    radii = torch.empty(len(x), dtype=x.dtype, device=x.device)
    for rows, distance in squared_distances(x, x):
        own = torch.arange(rows.start, rows.start + len(distance), device=x.device)
        distance.scatter_(1, own[:, None], torch.inf)  # a feature is not its own neighbor
        radii[rows] = distance.kthvalue(k, dim=1).values
    return radii


def recall_replicates(
    features: NDArray, reference: NDArray, *, k: int = NEIGHBORS, num: int = 200, seed: int = 0, device: str = "cpu"
) -> NDArray[np.float64]:
    """Return the recall under each of ``num`` resamples of both sets, [num]: of the references and of the balls.

    Balls keep their radii: those of a resample would shrink with its repeated images. A resample lacks a third of the
    balls, so replicates lie below the recall and spread less than it does: their deviations from their mean are enlarged in
    the proportion of the recall to that mean, which errs on the wide side: with 128 images and a recall of .055, new draws
    of both sets have a standard deviation of .021, the replicates .028. Resampling only the references gives intervals
    that are too narrow by up to a third (a test simulates it).

    Args:
        features: of the generated images, [N, D].
        reference: of the reference images, [M, D].
        k: as in ``membership``.
        num: number of resamples.
        seed: seed of the resamples.
        device: "cpu" or "cuda".
    """
    x, y = centered(features, reference, k, device)
    radius = squared_radii(x, k)
    present = torch.from_numpy(resample_counts(len(x), num, seed) > 0).float().to(device)  # [num, N]
    reached = torch.zeros(num, len(y), dtype=torch.bool, device=device)
    ever = torch.zeros(len(y), dtype=torch.bool, device=device)
    for rows, distance in squared_distances(x, y):
        balls = (distance <= radius[rows, None]).float()  # [rows, M]
        reached |= present[:, rows] @ balls > 0
        ever |= balls.any(dim=0)
    whole = ever.double().mean().item()
    asked = torch.from_numpy(resample_counts(len(y), num, seed)).to(device)
    found = ((reached * asked).sum(dim=1) / len(y)).double().cpu().numpy()
    return found.mean() + (found - found.mean()) * (whole / found.mean() if found.any() else 1.0)


def precision_recall_results(
    protocols: tuple[str, str],
    features: NDArray,
    reference: NDArray,
    /,
    *,
    k: int = NEIGHBORS,
    num: int = 200,
    seed: int = 0,
    device: str = "cpu",
    **extra: Any,
) -> tuple[MetricResult, MetricResult]:
    """Return precision and recall.

    Replicates of the precision resample the indicators of the generated images, since the reference's balls are fixed;
    those of the recall come from ``recall_replicates``.

    Args:
        protocols: names of the two metrics.
        features: of the generated images, [N, D].
        reference: of the reference images, [M, D].
        k: as in ``membership``.
        num: number of replicates.
        seed: seed of the resamples.
        device: "cpu" or "cuda".
        **extra: facts that a reader must know.
    """
    found = membership(features, reference, k=k, device=device)
    replicates = (
        bootstrap_mean(found.precise, num, seed),
        recall_replicates(features, reference, k=k, num=num, seed=seed, device=device),
    )
    precision, recall = (
        MetricResult(
            protocol=protocol,
            value=float(inside.mean()),
            n=len(features),
            better="higher",
            replicates=values,
            extra=extra,
        )
        for protocol, inside, values in zip(protocols, (found.precise, found.recalled), replicates, strict=True)
    )
    return precision, recall


def centered(features: NDArray, reference: NDArray, k: int, device: str) -> tuple[Tensor, Tensor]:
    """Subtract the reference's median from both sets, so that smaller numbers cancel less in a distance; float32.

    The mean would do, but for outliers: one feature of 1e6 moves it so far that float32 cannot tell the others apart.
    """
    _check(features, reference, k)
    center = np.median(np.asarray(reference, np.float64), axis=0)
    x, y = (torch.from_numpy((array - center).astype(np.float32)).to(device) for array in (features, reference))
    return x, y


def resample_counts(n: int, num: int, seed: int) -> NDArray[np.int64]:
    """Return how often each of n images occurs in each common resample, [num, n]."""
    return np.stack([np.bincount(index, minlength=n) for index in resamples(n, num, seed)])


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the squared distances [rows, M] from slices of rows of ``x`` [N, D] to all rows of ``y`` [M, D]."""
    length = y.square().sum(dim=1)
    step = max(1, BLOCK // len(y))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        distance = block.square().sum(dim=1, keepdim=True) - 2 * block @ y.T + length
        yield slice(start, start + len(block)), distance.clamp(min=0)


def _check(features: NDArray, reference: NDArray, k: int) -> None:
    if features.ndim != 2 or reference.ndim != 2 or features.shape[1] != reference.shape[1]:
        raise UserError(
            f"Precision and recall need features [N, D] and [M, D] of one network, got {list(features.shape)} and "
            f"{list(reference.shape)}."
        )
    if min(len(features), len(reference)) <= k:
        raise UserError(
            f"The {k}-th nearest neighbor needs more than {k} images, got {len(features)} generated and "
            f"{len(reference)} reference images."
        )
    if not (np.isfinite(features).all() and np.isfinite(reference).all()):
        raise UserError("Precision and recall need finite features; an image has NaN or infinite ones.")
