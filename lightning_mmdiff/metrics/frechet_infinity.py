"""Frechet distance as the number of images grows without bound (Chong and Forsyth 2020), and over that of real images.

The distance of n images is biased upwards by about a constant over n, and the constant depends on the model. FD-infinity is
where the line through the distances at several n, over 1/n, meets 1/n = 0. Deviation: the paper draws 15 subsets of 5,000 to
50,000 images; here n is all images and half of them, the mean of both halves: below half, with fewer images than features,
the distances no longer lie on a line. (256 rendered faces at 1280 features, true distance 14.8: 26.1 as it is, 15.3 from
halves, 18.5 from thirds and quarters too, 23.6 from eighths.)

The ratio divides by the distance of as many real images that are not the reference: 1 is a perfect model at any n.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.bootstrap import bootstrap_mean
from lightning_mmdiff.metrics.frechet import Gaussian, fit_gaussian, frechet_between, influences
from lightning_mmdiff.metrics.results import MetricResult

LEAST_IMAGES = 256


def infinity_result(
    protocol: str, features: NDArray, reference: Gaussian, at_n: MetricResult, /, *, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the distance extrapolated to infinitely many images.

    Args:
        protocol: name of the metric.
        features: of the generated images, at least 256, [N, D].
        reference: Gaussian of the reference, whose features are not resampled.
        at_n: distance of all ``features`` to ``reference``, whose replicates have the same ``seed``.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    n = len(features)
    if n < LEAST_IMAGES:
        raise UserError(f"{protocol} needs {LEAST_IMAGES} images, got {n}: fewer say nothing about infinitely many.")
    order = np.random.default_rng(0).permutation(n)  # the same halves in every row of a table
    halves = order[: n // 2], order[n // 2 :]
    half = np.mean([frechet_between(fit_gaussian(features[rows]), reference) for rows in halves])
    moved = np.zeros(n)  # of the mean of both halves, by the weight of an image
    for rows in halves:
        moved[rows] = influences(features[rows], reference)
    value = _at_zero(at_n.value, half)
    effects = _at_zero(at_n.replicates - at_n.value, bootstrap_mean(moved, len(at_n.replicates), seed))
    return MetricResult(
        protocol=protocol, value=float(value), n=n, better="lower", replicates=value + effects, extra=extra
    )


def ratio_result(protocol: str, distance: MetricResult, real: MetricResult, /, **extra: Any) -> MetricResult:
    """Return the distance of generated images over that of as many real ones to the same reference.

    Replicates are those of the ratio linearized at its value.

    Args:
        protocol: name of the metric.
        distance: distance of the generated images.
        real: distance of the real images, with as many replicates of other resamples.
        **extra: facts that a reader must know.
    """
    ratio = distance.value / real.value
    moved = (r.replicates - r.replicates.mean() for r in (distance, real))
    replicates = ratio + (next(moved) - ratio * next(moved)) / real.value
    return MetricResult(
        protocol=protocol, value=ratio, n=distance.n, better="lower", replicates=replicates, extra=extra
    )


def _at_zero(whole: Any, half: Any) -> Any:
    """Return the line through (1 / n, ``whole``) and (2 / n, ``half``) at 0."""
    return 2 * whole - half
