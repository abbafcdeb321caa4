"""95% intervals: Student's t over seeds, paired bootstrap over images."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from reports.schema import Interval

LEVEL = 0.95


def t_interval(values: Sequence[float]) -> Interval:
    """Return the interval of the mean of ``values`` (one per seed, at least two): mean +- t_{k-1} s / sqrt(k)."""
    sample = np.asarray(values, dtype=np.float64)
    half = stats.t.ppf((1 + LEVEL) / 2, df=len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    return float(sample.mean() - half), float(sample.mean() + half)


def bootstrap_interval(estimate: float, replicates: np.ndarray, n: int) -> Interval:
    """Return estimate +- t_{n-1} s sqrt(n / (n - 1)), s the standard deviation of the replicates.

    Quantiles of the replicates would decide by one image: in rows that differ in one of 256 images, the lower quantile is 0
    exactly, and centering moves it off 0 by the error of the replicates' mean.

    Args:
        estimate: the statistic on the images themselves.
        replicates: the statistic on resampled images, [R].
        n: number of images, at least two unless the replicates are all equal.
    """
    if np.ptp(replicates) == 0:
        return float(estimate), float(estimate)
    half = stats.t.ppf((1 + LEVEL) / 2, df=n - 1) * replicates.std(ddof=1) * np.sqrt(n / (n - 1))
    return float(estimate - half), float(estimate + half)
