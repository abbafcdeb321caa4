"""Coverage (Naeem et al. 2020): the share of real images that have a generated one in their neighborhood; higher is better.

The neighborhood of a real image is the ball that reaches to its k-th nearest other real image, k = 5. Recall puts the balls
around the generated images instead, so that one outlier with a large ball recalls much. For N generated and M real images
of one distribution, the expected coverage is 1 - (M - 1) ... (M - k) / ((M + N - 1) ... (M + N - k)) in any space, so
compare rows of equal N alone.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_mmdiff.metrics.bootstrap import subsets
from lightning_mmdiff.metrics.precision_recall import centered, squared_distances, squared_radii
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

    Replicates are halves of the generated images, as those of recall: a resample repeats images, which cover nothing more.
    The reference is the same for every row and stays.

    Args:
        protocol: name of the metric.
        features: of the generated images, [N, D].
        reference: of the reference images, [M, D].
        k: number of the neighbor that sets the radius of a ball.
        num: number of halves.
        seed: seed of the halves, which are common to all rows.
        device: "cpu" or "cuda".
        **extra: facts that a reader must know.
    """
    x, y = centered(features, reference, k, device)
    radius = squared_radii(y, k)
    size = len(x) // 2
    present = torch.from_numpy(subsets(len(x), size, num, seed)).float().to(device)  # [num, N]
    covered = torch.zeros(len(y), dtype=torch.bool, device=device)
    of_halves = torch.zeros(num, len(y), dtype=torch.bool, device=device)
    for rows, distance in squared_distances(x, y):
        inside = distance < radius  # [rows, M]
        covered |= inside.any(dim=0)
        of_halves |= present[:, rows] @ inside.float() > 0
    shares = of_halves.double().mean(dim=1).cpu().numpy()
    replicates = shares.mean() + (shares - shares.mean()) * np.sqrt(size / (len(x) - size))
    value = float(covered.double().mean())
    return MetricResult(
        protocol=protocol, value=value, n=len(features), better="higher", replicates=replicates, extra=extra
    )
