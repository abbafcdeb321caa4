"""95% intervals: Student's t over seeds, paired bootstrap over images; at the bounds of a share, Clopper and Pearson's."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from reports.schema import Interval

LEVEL = 0.95


def t_interval(values: Sequence[float], over_images: Sequence[Interval | None] = ()) -> Interval:
    """Return the interval of the mean of ``values``, one of each of k trainings: mean +- t_{k-1} s / sqrt(k), or more.

    All trainings are scored on the same test images. What these do to every training alike does not show in s, and three
    trainings that agree by chance would look certain; so it is never narrower than one training's interval over images.

    Args:
        values: one of each training, at least two.
        over_images: interval over images of each training, where there is one.
    """
    sample = np.asarray(values, dtype=np.float64)
    half = stats.t.ppf((1 + LEVEL) / 2, df=len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    mean = float(sample.mean())
    if np.ptp(sample) == 0:  # the mean of equal numbers may differ from them by rounding
        mean, half = float(sample[0]), 0.0
    widths = [high - low for low, high in filter(None, over_images)]
    half = float(max(half, np.mean(widths) / 2 if widths else 0.0))
    return mean - half, mean + half


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


def share_interval(value: float, n: int) -> Interval:
    """Return the interval of Clopper and Pearson for a share that is 0 or 1 in each of ``n`` images.

    All resamples of such images are alike, so that a bootstrap sees no spread. The interval holds for the mean of any
    scores between 0 and 1 too: if their mean is m, the chance that all n are 1 is at most m^n.

    Args:
        value: 0 or 1.
        n: number of images.
    """
    bound = float(((1 - LEVEL) / 2) ** (1 / n))
    return (bound, 1.0) if value == 1 else (0.0, 1 - bound)


def cut(interval: Interval, low: float | None, high: float | None) -> Interval:
    """Return the part of ``interval`` that lies between ``low`` and ``high``; None is no bound."""
    bottom, top = np.clip(interval, low, high) if (low, high) != (None, None) else interval
    return float(bottom), float(top)
