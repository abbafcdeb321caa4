"""Kernel Inception distance (Binkowski et al. 2018, Sec. 4): unbiased squared MMD with the kernel (x.y / D + 1)^3.

"KID": unscaled Inception features. "KID-EffNetLite0": EfficientNet-Lite0 features, first scaled to length sqrt(D)
(``unit_length``), so that x.y / D is a cosine and the value does not depend on the features' scale, which weights the
kernel's powers. Printed without the usual factor of 1000. Unbiased, so it may be slightly negative.
"""

import numpy as np
from numpy.typing import NDArray

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.bootstrap import resamples

Array = NDArray[np.float64]


def unit_length(features: NDArray) -> Array:
    """Scale each row of ``features`` [N, D] to length sqrt(D)."""
    features = np.asarray(features, np.float64)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features * np.sqrt(features.shape[1]) / np.maximum(length, 1e-12)


def polynomial_kernel(x: NDArray, y: NDArray) -> Array:
    """Return (x_i . y_j / D + 1)^3, [N, M], for features ``x`` [N, D] and ``y`` [M, D]."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return (x @ y.T / x.shape[1] + 1) ** 3


def kernel_distance(x: NDArray, y: NDArray) -> float:
    """Return the unbiased squared MMD between features ``x`` [N, D] and ``y`` [M, D], over all pairs."""
    _check(x, y)
    return float(
        _within(polynomial_kernel(x, x)) + _within(polynomial_kernel(y, y)) - 2 * polynomial_kernel(x, y).mean()
    )


def kernel_distance_replicates(x: NDArray, y: NDArray, *, num: int = 200, seed: int = 0) -> Array:
    """Return the distance under each of ``num`` resamples, [num].

    A resample contains an image several times. Pairs of an image with itself are left out, as in the unbiased estimate;
    they would raise every replicate. The kernel is computed once.

    Args:
        x: features whose rows are resampled, [N, D].
        y: fixed features of the reference, [M, D].
        num: number of resamples.
        seed: seed of the resamples.
    """
    _check(x, y)
    within, across = polynomial_kernel(x, x), polynomial_kernel(x, y).mean(axis=1)
    np.fill_diagonal(within, 0)
    fixed = _within(polynomial_kernel(y, y))
    replicates = np.empty(num)
    for r, index in enumerate(resamples(len(x), num, seed)):
        count = np.bincount(index, minlength=len(x)).astype(np.float64)
        pairs = count.sum() ** 2 - np.square(count).sum()  # of different images
        replicates[r] = count @ within @ count / pairs + fixed - 2 * (count @ across) / count.sum()
    return replicates


def _within(kernel: Array) -> float:
    """Return the mean of k(x_i, x_j) over i != j."""
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


def _check(x: NDArray, y: NDArray) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise UserError(
            f"KID needs features [N, D] and [M, D] of one network, N and M at least 2; got {list(x.shape)} "
            f"and {list(y.shape)}."
        )
    if bad := (~np.isfinite(x)).any(axis=1).sum() + (~np.isfinite(y)).any(axis=1).sum():
        raise UserError(f"KID needs finite features; {bad} images have others.")
