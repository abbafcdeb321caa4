"""Inception score (Salimans et al. 2016, Sec. 4) as ADM's evaluator defines it; higher is better.

IS = mean over chunks of exp(mean_i KL(p(y | x_i) || mean_j p(y | x_j))); the chunks are 5000 consecutive images in file
order; the last may be shorter. 5,000 images form one chunk; tools that always make ten print a lower value for them.
"IS": softmax of Inception's 1008 logits without their bias (``networks.AdmInception``). Stand-ins: "IS-EffNetLite0", the
1000 ImageNet classes of EfficientNet-Lite0, and "IS-ObjectClassifier", the classes of an evaluator trained on the data.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax, xlogy

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.bootstrap import bootstrap_mean
from lightning_mmdiff.metrics.results import MetricResult

Array = NDArray[np.float64]
CHUNK = 5000  # images


def inception_score(probabilities: NDArray, *, chunk: int = CHUNK) -> float:
    """Return the score in [1, K] of ``probabilities`` [N, K], whose rows sum to 1 and follow the order of the images."""
    probabilities = _check(probabilities)
    return float(np.mean([_score(part) for part in _chunks(probabilities, chunk)]))


def inception_score_replicates(probabilities: NDArray, *, chunk: int = CHUNK, num: int = 200, seed: int = 0) -> Array:
    """Return the score plus the change of the mean pseudo-value under each of ``num`` common resamples, [num].

    The pseudo-value of an image (Tukey 1958) is n s - (n - 1) s', with the score s of its chunk of n images and s' of the
    chunk without it. The score of a resample itself varies too little where classes are many and images few: an image that
    occurs twice agrees with itself.

    Args:
        probabilities: class probabilities in the order of the images, [N, K].
        chunk: images per chunk.
        num: number of resamples of the rows.
        seed: seed of the resamples.
    """
    probabilities = _check(probabilities)
    parts = _chunks(probabilities, chunk)
    share = len(probabilities) / len(parts)  # of the images in a chunk; the last may have fewer
    values = np.concatenate([_pseudo_values(part) * share / len(part) for part in parts])
    return inception_score(probabilities, chunk=chunk) + bootstrap_mean(values - values.mean(), num, seed)


def inception_score_result(
    protocol: str, logits: NDArray, /, *, chunk: int = CHUNK, num: int = 200, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the score of the softmax of ``logits``.

    Args:
        protocol: name of the metric.
        logits: in the order of the images, [N, K].
        chunk: images per chunk.
        num: number of replicates.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    logits = np.asarray(logits, np.float64)
    if not np.isfinite(logits).all():
        raise UserError(
            f"{protocol}: {(~np.isfinite(logits)).any(axis=-1).sum()} images have logits that are not finite."
        )
    probabilities = softmax(logits, axis=-1)
    return MetricResult(
        protocol=protocol,
        value=inception_score(probabilities, chunk=chunk),
        n=len(logits),
        better="higher",
        replicates=inception_score_replicates(probabilities, chunk=chunk, num=num, seed=seed),
        extra=extra,
    )


def _chunks(probabilities: Array, chunk: int) -> list[Array]:
    return [probabilities[i : i + chunk] for i in range(0, len(probabilities), chunk)]


def _score(part: Array) -> float:
    """Return the score of one chunk [n, K]: mean KL is the mean of sum_y p log p minus that of the marginal."""
    return float(np.exp(_plogp(part).mean() - _plogp(part.mean(axis=0))))


def _pseudo_values(part: Array) -> Array:
    """Return the pseudo-value of each image of a chunk [n, K], [n]; a single image has its score."""
    n, entropy = len(part), -_plogp(part)
    others = max(n - 1, 1)
    marginal = ((part.sum(axis=0) - part) / others).clip(min=0)  # without the image, [n, K]
    without = np.exp(-(entropy.sum() - entropy) / others - _plogp(marginal))
    return n * _score(part) - (n - 1) * without


def _plogp(probabilities: Array) -> Array:
    """Return sum_y p log p, [...], for ``probabilities`` [..., K]; 0 log 0 is 0."""
    return xlogy(probabilities, probabilities).sum(axis=-1)


def _check(probabilities: NDArray) -> Array:
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or not len(probabilities):
        raise UserError(f"An inception score needs probabilities [N, K], got shape {list(probabilities.shape)}.")
    if not (probabilities >= 0).all() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-6):
        raise UserError("Rows of probabilities must be >= 0 and sum to 1; give logits to inception_score_result.")
    return probabilities
