"""Coverage (Naeem et al. 2020): the share of real images that have a generated one in their neighborhood; higher is better.

The neighborhood of a real image is the ball that reaches to its k-th nearest other real image, k = 5. Recall puts the balls
around the generated images instead, so that one outlier with a large ball recalls much. For N generated and M real images
of one distribution, the expected coverage is 1 - (M - 1) ... (M - k) / ((M + N - 1) ... (M + N - k)) in any space, so
compare rows of equal N alone.
"""

from typing import Any

import torch
from numpy.typing import NDArray

from lightning_mmdiff.metrics.bootstrap import bootstrap_mean
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

    Replicates add the mean change of pseudo-values (Tukey 1958) under each resample: an image counts by what it alone covers.
    Their spread is at least that of new images, on average (Efron and Stein 1981). A coverage is more a sum over images than a
    mean, so that halves of them, which serve for recall, spread only .6 to .8 times as much. The reference stays.

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
    radius, n = squared_radii(y, k), len(x)
    covered, alone = 0, torch.zeros(n, dtype=torch.long, device=device)
    for rows, distance in squared_distances(y, x):
        inside = distance < radius[rows, None]  # [rows, N]
        count = inside.sum(dim=1)
        covered += int((count > 0).sum())
        alone += inside[count == 1].sum(dim=0)
    lost = alone.double().cpu().numpy() / len(y)
    value = covered / len(y)
    replicates = value + (n - 1) * bootstrap_mean(lost - lost.mean(), num, seed)
    return MetricResult(
        protocol=protocol, value=value, n=len(features), better="higher", replicates=replicates, extra=extra
    )
