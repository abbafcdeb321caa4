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
from lightning_mmdiff.metrics.bootstrap import subsets
from lightning_mmdiff.metrics.results import MetricResult, mean_result

NEIGHBORS = 3  # k
BLOCK = 2**25  # distances held at once: 128 MiB
SEARCHED = 16  # neighbors searched for each that is needed, where only half of the images count


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
    for rows, distance in _squared_distances_within(x):
        radii[rows] = distance.kthvalue(k, dim=1).values
    return radii


def recall_replicates(
    features: NDArray, reference: NDArray, *, k: int = NEIGHBORS, num: int = 200, seed: int = 0, device: str = "cpu"
) -> NDArray[np.float64]:
    """Return values that spread as the recall does when the generated images are drawn anew, [num].

    Each is the recall of half of the images, with the radii that these have among themselves. The halves are drawn without
    replacement: a resample repeats images, so it lacks a third of the balls and its radii shrink to 0. Half of the images
    spread as much among all of them as all do among new ones; ``benchmarks.intervals`` measures how well this holds.

    Args:
        features: of the generated images, [N, D].
        reference: of the reference images, [M, D].
        k: as in ``membership``.
        num: number of halves.
        seed: seed of the halves, which are common to all rows.
        device: "cpu" or "cuda".
    """
    x, y = centered(features, reference, k, device)
    size = max(len(x) // 2, k + 1)
    if size == len(x):
        raise UserError(f"The spread of a recall needs more than {size} images, got {len(x)}.")
    kept = torch.from_numpy(subsets(len(x), size, num, seed)).to(device)
    radius = _radii_among(x, kept, k)
    reached = torch.zeros(num, len(y), dtype=torch.bool, device=device)
    for rows, distance in squared_distances(x, y):
        for found, radii in zip(reached, radius[:, rows], strict=True):
            found |= (distance <= radii[:, None]).any(dim=0)
    recall = reached.double().mean(dim=1).cpu().numpy()
    return recall.mean() + (recall - recall.mean()) * np.sqrt(size / (len(x) - size))


def _radii_among(x: Tensor, kept: Tensor, k: int) -> Tensor:
    """Return the squared distance of each feature to its k-th nearest other one that is ``kept``, [num, N].

    Args:
        x: features, [N, D].
        kept: at least k + 1 of the features in each of several subsets, bool [num, N]; the others get -1.
        k: number of the neighbor.
    """
    near = min(len(x) - 1, SEARCHED * (k + 1))  # of so many, k are kept in any half
    distances = torch.empty(len(x), near, dtype=x.dtype, device=x.device)
    neighbors = torch.empty(len(x), near, dtype=torch.long, device=x.device)
    for rows, distance in _squared_distances_within(x):
        distances[rows], neighbors[rows] = distance.topk(near, largest=False)
    radii = torch.empty(kept.shape, dtype=x.dtype, device=x.device)
    for row, here in zip(radii, kept, strict=True):
        kth = (here[neighbors].cumsum(dim=1) >= k).int().argmax(dim=1, keepdim=True)
        row.copy_(torch.where(here, distances.gather(1, kth)[:, 0], -1))
    return radii


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

    The reference is fixed, and so are its balls: replicates of the precision resample the indicators of the generated
    images. Those of the recall come from ``recall_replicates``.

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
    recall = MetricResult(
        protocol=protocols[1],
        value=float(found.recalled.mean()),
        n=len(features),
        better="higher",
        replicates=recall_replicates(features, reference, k=k, num=num, seed=seed, device=device),
        extra=extra,
    )
    return mean_result(protocols[0], found.precise, better="higher", num=num, seed=seed, **extra), recall


def centered(features: NDArray, reference: NDArray, k: int, device: str) -> tuple[Tensor, Tensor]:
    """Subtract the reference's median from both sets, so that smaller numbers cancel less in a distance; float32.

    The mean would do, but for outliers: one feature of 1e6 moves it so far that float32 cannot tell the others apart.

    Args:
        features: of the generated images, [N, D].
        reference: of the reference images, [M, D].
        k: number of the neighbor that will be asked for; both sets must be larger.
        device: "cpu" or "cuda".
    """
    _check(features, reference, k)
    center = np.median(np.asarray(reference, np.float64), axis=0)
    x, y = (torch.from_numpy((array - center).astype(np.float32)).to(device) for array in (features, reference))
    return x, y


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the squared distances [rows, M] from slices of rows of ``x`` [N, D] to all rows of ``y`` [M, D]."""
    length = y.square().sum(dim=1)
    step = max(1, BLOCK // len(y))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        distance = block.square().sum(dim=1, keepdim=True) - 2 * block @ y.T + length
        yield slice(start, start + len(block)), distance.clamp(min=0)


def _squared_distances_within(x: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the squared distances [rows, N] from slices of rows of ``x`` [N, D] to all rows; a row is not its own neighbor."""
    for rows, distance in squared_distances(x, x):
        own = torch.arange(rows.start, rows.start + len(distance), device=x.device)
        yield rows, distance.scatter_(1, own[:, None], torch.inf)


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
