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
from lightning_mmdiff.metrics.bootstrap import resamples
from lightning_mmdiff.metrics.results import MetricResult

Array = NDArray[np.float64]
CHUNK = 5000  # images


def inception_score(probabilities: NDArray, *, chunk: int = CHUNK) -> float:
    """Return the score in [1, K] of ``probabilities`` [N, K], whose rows sum to 1 and follow the order of the images."""
    probabilities = _check(probabilities)
    return _score(probabilities, _plogp(probabilities), np.arange(len(probabilities)), chunk)


def inception_score_replicates(probabilities: NDArray, *, chunk: int = CHUNK, num: int = 200, seed: int = 0) -> Array:
    """Return the score under each of ``num`` resamples, [num].

    A resample is cut into chunks like the images. It repeats images, so its marginal is narrower and replicates lie
    below the score; intervals are centered (``bootstrap.interval``).

    Args:
        probabilities: class probabilities in the order of the images, [N, K].
        chunk: images per chunk.
        num: number of resamples of the rows.
        seed: seed of the resamples.
    """
    probabilities = _check(probabilities)
    negative_entropy = _plogp(probabilities)
    indices = resamples(len(probabilities), num, seed)
    return np.array([_score(probabilities, negative_entropy, index, chunk) for index in indices])


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


def _score(probabilities: Array, negative_entropy: Array, index: NDArray[np.int64], chunk: int) -> float:
    """Return the score of the images ``index`` [M]: mean KL is the mean of sum_y p log p minus that of the marginal."""
    starts = range(0, len(index), chunk)
    counts = np.stack([np.bincount(index[i : i + chunk], minlength=len(probabilities)) for i in starts])  # [chunks, N]
    share = counts / counts.sum(axis=1, keepdims=True)
    divergence = share @ negative_entropy - _plogp(share @ probabilities)  # [chunks]
    return float(np.exp(divergence).mean())


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
