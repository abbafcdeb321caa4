"""Top-1 and top-5 accuracy of a classifier (MT-Diffusion, Fig. 6; Unite and Conquer, Table 3); higher is better."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.results import MetricResult, mean_result


def top_k_hits(logits: NDArray, labels: NDArray, k: int = 1) -> NDArray[np.bool_]:
    """Return whether each label is among the k largest logits, [N]; among equal logits, the lower class comes first.

    Args:
        logits: any increasing function of the class probabilities, [N, K].
        labels: true classes, 0..K-1, [N].
        k: number of guesses that count, 1..K.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != (len(logits),) or not len(labels):
        raise UserError(f"Accuracy needs logits [N, K] and labels [N], got {list(logits.shape)}, {list(labels.shape)}.")
    num_classes = logits.shape[1]
    if not 0 <= labels.min() <= labels.max() < num_classes:
        raise UserError(f"Labels are {labels.min()}..{labels.max()}, the classifier has classes 0..{num_classes - 1}.")
    if not 1 <= k <= num_classes:
        raise UserError(f"Top-{k} accuracy of {num_classes} classes: k must be 1..{num_classes}.")
    if np.isnan(logits).any():
        raise UserError(f"{np.isnan(logits).any(axis=1).sum()} of {len(logits)} images have NaN logits.")
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    tied = (logits == own) & (np.arange(num_classes) < labels[:, None])
    return ((logits > own) | tied).sum(axis=1) < k


def accuracy_result(
    protocol: str, logits: NDArray, labels: NDArray, /, *, k: int = 1, num: int = 1000, seed: int = 0, **extra: Any
) -> MetricResult:
    """Return the top-k accuracy in [0, 1].

    Args:
        protocol: name of the metric.
        logits: as in ``top_k_hits``.
        labels: as in ``top_k_hits``.
        k: as in ``top_k_hits``.
        num: number of replicates.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    return mean_result(protocol, top_k_hits(logits, labels, k), better="higher", num=num, seed=seed, **extra)
