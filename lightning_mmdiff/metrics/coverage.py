"""Coverage (Naeem et al. 2020): the share of real images that have a generated one in their neighborhood; higher is better.

The neighborhood of a real image is the ball that reaches to its k-th nearest other real image, k = 5. Recall puts the balls
around the generated images instead, so that one outlier with a large ball recalls much. For N generated and M real images
of one distribution, the expected coverage is 1 - (M - 1) ... (M - k) / ((M + N - 1) ... (M + N - k)) in any space, so
compare rows of equal N alone.
"""

from typing import Any

import torch
from numpy.typing import NDArray

from lightning_mmdiff.metrics.precision_recall import centered, resample_counts, squared_distances, squared_radii
from lightning_mmdiff.metrics.results import MetricResult

NEIGHBORS = 5  # k


def coverage_result(
    protocol: str,
    features: NDArray,
    reference: NDArray,
    /,
    *,
    k: int = NEIGHBORS,
    num: int = 200,
    seed: int = 0,
    device: str = "cpu",
    **extra: Any,
) -> MetricResult:
    """Return the coverage; as in the authors' code, an image on the border of a ball is outside.

    Replicates resample both sets: the generated images that are there, and the real ones that are asked. Balls keep their
    radii, since those of a resample would shrink with its repeated images.

    Args:
        protocol: name of the metric.
        features: of the generated images, [N, D].
        reference: of the reference images, [M, D].
        k: number of the neighbor that sets the radius of a ball.
        num: number of replicates.
        seed: seed of the resamples.
        device: "cpu" or "cuda".
        **extra: facts that a reader must know.
    """
    x, y = centered(features, reference, k, device)
    radius = squared_radii(y, k)
    present = torch.from_numpy(resample_counts(len(x), num, seed) > 0).float().to(device)  # [num, N]
    covered = torch.zeros(len(y), dtype=torch.bool, device=device)
    resampled = torch.zeros(num, len(y), dtype=torch.bool, device=device)
    for rows, distance in squared_distances(x, y):
        inside = distance < radius  # [rows, M]
        covered |= inside.any(dim=0)
        resampled |= present[:, rows] @ inside.float() > 0
    asked = torch.from_numpy(resample_counts(len(y), num, seed)).to(device)  # [num, M]
    replicates = (resampled * asked).sum(dim=1).double().cpu().numpy() / len(y)
    value = float(covered.double().mean())
    return MetricResult(
        protocol=protocol, value=value, n=len(features), better="higher", replicates=replicates, extra=extra
    )
