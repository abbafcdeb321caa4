"""Bootstrap intervals (Efron 1979): images are resampled, with the same indices in every row of a table.

Common indices make rows comparable: replicate r of two rows scores the same test images, so the spread of
``replicates_a - replicates_b`` is the spread of a paired difference. For distances between sets, only the generated
features are resampled. The reference is part of the protocol and the same for every row, so the interval shows how much
the value depends on which conditions were sampled, given that reference.

Statistics that a repeated image breaks have replicates of another kind, paired in the same way. Distances between sets resample
what each image adds to them (``frechet.influences``), inception scores and coverages their images' pseudo-values; a recall, which
counts nearest neighbors, is computed on ``subsets`` without repetition. ``docs/statistics.md`` shows how well all of them do.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lightning_mmdiff.errors import UserError

Array = NDArray[np.float64]


def resamples(n: int, num: int, seed: int = 0) -> NDArray[np.int64]:
    """Return ``num`` resamples of n images with replacement, [num, n]; the first k rows do not depend on ``num``."""
    if n < 1:
        raise UserError(f"Cannot resample {n} images.")
    return np.stack(list(_resamples(n, num, seed)))


def subsets(n: int, size: int, num: int, seed: int = 0) -> NDArray[np.bool_]:
    """Return which of n images are in each of ``num`` random subsets, [num, n].

    Args:
        n: number of images.
        size: number of images in a subset.
        num: number of subsets; the first do not depend on it.
        seed: seed of the subsets.
    """
    rng = np.random.default_rng(seed)
    inside = np.zeros((num, n), bool)
    for row in inside:
        row[rng.permutation(n)[:size]] = True
    return inside


def bootstrap_mean(values: NDArray, num: int = 1000, seed: int = 0) -> Array:
    """Return the mean of ``values`` [N] under each of ``num`` resamples, [num]."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise UserError(
            f"A mean over images needs finite values [N], got shape {list(values.shape)} with "
            f"{(~np.isfinite(values)).sum()} not finite; score failed images (usually 0) instead of leaving NaN."
        )
    return np.array([values[index].mean() for index in _resamples(len(values), num, seed)])


def bootstrap_statistic(statistic: Callable[..., float], *arrays: NDArray, num: int = 200, seed: int = 0) -> Array:
    """Return ``statistic`` of the resampled ``arrays``, [num]; all [N, ...] are resampled with the same indices.

    Anything that must stay fixed, such as the reference of a Frechet distance, belongs in ``statistic``.
    """
    if len({len(array) for array in arrays}) != 1:
        raise UserError(f"Arrays of {[len(array) for array in arrays]} images cannot share resampled indices.")
    indices = _resamples(len(arrays[0]), num, seed)
    return np.array([statistic(*(array[index] for array in arrays)) for index in indices], np.float64)


def interval(value: float, replicates: NDArray, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return value +- t_{n-1} s sqrt(n / (n - 1)), s the standard deviation of the replicates.

    It is about the value, not the replicates, whose mean can be another. Student's t and the factor make up for few images:
    quantiles of 8 or 64 resampled images are too narrow.

    Args:
        value: the statistic on the images themselves.
        replicates: the statistic on resampled images, [R].
        n: number of images, at least two unless the replicates are all equal.
        level: coverage.
    """
    if np.ptp(replicates) == 0:
        return float(value), float(value)
    half = stats.t.ppf((1 + level) / 2, df=n - 1) * np.std(replicates, ddof=1) * np.sqrt(n / (n - 1))
    return float(value - half), float(value + half)


def wilson_interval(value: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share ``value`` of n images (Wilson 1927): p with |value - p| <= z sqrt(p (1 - p) / n).

    It has a width where all images score 1, which happens to half of all sets of 64 if 99 of 100 images do.
    """
    z = stats.norm.ppf((1 + level) / 2)
    center = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
    return float(max(center - half, 0)), float(min(center + half, 1))


def _resamples(n: int, num: int, seed: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    for _ in range(num):
        yield rng.integers(0, n, size=n)
