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


def centered_interval(estimate: float, replicates: np.ndarray) -> Interval:
    """Return the percentile interval of the replicates, shifted so that their mean is the estimate.

    The shift removes the bootstrap's bias: a resample holds fewer distinct images, which a Frechet distance penalizes.

    Args:
        estimate: the statistic on the images themselves.
        replicates: the statistic on resampled images, [R].
    """
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(replicates - replicates.mean() + estimate, [tail, 1 - tail])
    return float(low), float(high)
