"""Agreement of label maps: mIoU, F1 and pixel accuracy, per image and over a data set.

Per image (Unite and Conquer: "mean for all testing images"): IoU and F1 = 2 |A and B| / (|A| + |B|) of each class that
has a pixel in the prediction or in the target, averaged over those classes. A class in neither is ignored; one that is
only in the prediction scores 0. Over a data set: the same formulas on the summed confusion matrix (Cityscapes, FaRL).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_mmdiff.errors import UserError

Array = NDArray[np.float64]
IGNORED = 255  # label of pixels that are not evaluated; only in the target
CHUNK = 64  # images counted at once, to bound memory


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of each image, [N] in [0, 1]; an image on which the parser failed scores 0 and is counted."""

    miou: Array
    f1: Array
    accuracy: Array
    num_failed: int = 0


@dataclass(frozen=True, kw_only=True)
class DatasetScores:
    """Scores of one confusion matrix; classes [K] that never occur are NaN and left out of the means."""

    pixel_accuracy: float
    class_accuracy: float  # mean over classes that occur in the target
    miou: float
    f1: float
    class_iou: Array  # [K]


def group_labels(labels: NDArray, groups: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """Map each label to the index of the group that contains it, or to ``len(groups)`` if none does.

    Args:
        labels: class of each pixel, any shape, 0..254 (255 is kept: not evaluated).
        groups: classes of each group, for example ((13,), (1,), (2,)) for hair, skin, nose.
    """
    table = np.full(256, len(groups), np.uint8)
    table[IGNORED] = IGNORED
    for i, group in enumerate(groups):
        table[list(group)] = i
    if sum(len(group) for group in groups) != (table[:IGNORED] < len(groups)).sum():
        raise UserError(f"A class is in two groups: {groups}.")
    return table[labels]


def resize_labels(labels: NDArray, size: tuple[int, ...]) -> NDArray:
    """Resize label maps [N, h, w] to [N, *size] by the nearest pixel center, as PIL does; no new labels arise."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)  # floor((i + 1/2) old / new), exactly
        for new, old in zip(size, labels.shape[1:], strict=True)
    )
    return labels[:, rows[:, None], columns]


def confusion(prediction: NDArray, target: NDArray, num_classes: int) -> NDArray[np.int64]:
    """Count pixels of class (target, prediction) in each image, [N, K, K].

    Args:
        prediction: class of each pixel, [N, H, W].
        target: the same, with 255 for pixels not evaluated, [N, H, W].
        num_classes: K; classes are 0..K-1.
    """
    if prediction.shape != target.shape or prediction.ndim != 3:
        raise UserError(
            f"Label maps must be [N, H, W] of one size, got prediction {list(prediction.shape)} and target "
            f"{list(target.shape)}; resize with nearest neighbor first."
        )
    counts = [
        _confusion(prediction[i : i + CHUNK], target[i : i + CHUNK], num_classes) for i in range(0, len(target), CHUNK)
    ]
    return np.concatenate(counts) if counts else np.zeros((0, num_classes, num_classes), np.int64)


def image_scores(
    prediction: NDArray,
    target: NDArray,
    num_classes: int,
    *,
    groups: Sequence[Sequence[int]] | None = None,
    failed: NDArray | None = None,
) -> Scores:
    """Score each image.

    Args:
        prediction: class of each pixel, [N, H, W].
        target: the same, with 255 for pixels not evaluated, [N, H, W].
        num_classes: K; classes are 0..K-1.
        groups: classes to merge and score as one; pixels outside all groups count as "elsewhere", which has no score of
            its own. None scores single classes.
        failed: True where the parser found nothing in the image, [N]; those images score 0.

    Raises:
        UserError: if a label is no class, ``failed`` has another length, or no pixel of an image is evaluated.
    """
    if len(empty := np.flatnonzero((target == IGNORED).all(axis=(1, 2)))):
        raise UserError(
            f"{len(empty)} of {len(target)} label maps have no pixel to evaluate (first: number {empty[0]})."
        )
    counts, judged = _counts(prediction, target, num_classes, groups)
    iou, f1 = _iou_and_f1(counts)
    scores = {
        "miou": _present_mean(iou[:, :judged]),
        "f1": _present_mean(f1[:, :judged]),
        "accuracy": np.trace(counts, axis1=1, axis2=2) / np.maximum(counts.sum(axis=(1, 2)), 1),
    }
    if failed is None:
        return Scores(**scores)
    if failed.shape != (len(target),):
        raise UserError(f"failed has shape {list(failed.shape)}, expected [{len(target)}]: one flag an image.")
    found = ~failed.astype(bool)
    return Scores(
        **{name: np.where(found, score, 0.0) for name, score in scores.items()}, num_failed=int((~found).sum())
    )


def dataset_scores(
    prediction: NDArray, target: NDArray, num_classes: int, *, groups: Sequence[Sequence[int]] | None = None
) -> DatasetScores:
    """Score all images as one.

    Args:
        prediction: as in ``image_scores``.
        target: as in ``image_scores``.
        num_classes: as in ``image_scores``.
        groups: as in ``image_scores``.
    """
    counts, judged = _counts(prediction, target, num_classes, groups)
    return scores_of_counts(counts.sum(axis=0), judged)


def scores_of_counts(counts: NDArray, judged: int | None = None) -> DatasetScores:
    """Score a confusion matrix ``counts`` [K, K], rows = target; only the first ``judged`` classes, or all if None."""
    judged = judged or len(counts)
    iou, f1 = _iou_and_f1(counts)
    hits, in_target = np.diag(counts)[:judged], counts.sum(axis=1)[:judged]
    recall = np.divide(hits, in_target, out=np.full(judged, np.nan), where=in_target > 0)
    return DatasetScores(
        pixel_accuracy=float(np.trace(counts) / counts.sum()),
        class_accuracy=float(np.nanmean(recall)),
        miou=float(np.nanmean(iou[:judged])),
        f1=float(np.nanmean(f1[:judged])),
        class_iou=iou[:judged],
    )


def _counts(
    prediction: NDArray, target: NDArray, num_classes: int, groups: Sequence[Sequence[int]] | None
) -> tuple[NDArray[np.int64], int]:
    """Return the confusion matrices [N, K, K] of classes or groups, and how many of the K are scored."""
    if groups is None:
        return confusion(prediction, target, num_classes), num_classes
    _check_classes(prediction, num_classes, "prediction")
    _check_classes(target[target != IGNORED], num_classes, "target")
    return confusion(group_labels(prediction, groups), group_labels(target, groups), len(groups) + 1), len(groups)


def _confusion(prediction: NDArray, target: NDArray, num_classes: int) -> NDArray[np.int64]:
    valid = target != IGNORED
    _check_classes(prediction[valid], num_classes, "prediction")
    _check_classes(target[valid], num_classes, "target")
    image = np.broadcast_to(np.arange(len(target))[:, None, None], target.shape)[valid]
    cell = (image * num_classes + target[valid]) * num_classes + prediction[valid]
    counts = np.bincount(cell, minlength=len(target) * num_classes**2)
    return counts.reshape(len(target), num_classes, num_classes)


def _iou_and_f1(counts: NDArray) -> tuple[Array, Array]:
    """Return IoU and F1 of each class, both [..., K]; NaN where the class is in neither map."""
    both = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    total = (counts.sum(axis=-1) + counts.sum(axis=-2)).astype(np.float64)  # |A| + |B|
    nowhere = np.where(total > 0, 1.0, np.nan)
    return both / np.maximum(total - both, 1) * nowhere, 2 * both / np.maximum(total, 1) * nowhere


def _present_mean(scores: Array) -> Array:
    """Return the mean over the classes that are present, [N]; 1 for an image where none of them is in either map."""
    present = np.isfinite(scores)
    total = np.where(present, scores, 0).sum(axis=1)
    return np.where(present.any(axis=1), total / np.maximum(present.sum(axis=1), 1), 1.0)


def _check_classes(labels: NDArray, num_classes: int, what: str) -> None:
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise UserError(
            f"The {what} has labels {int(labels.min())}..{int(labels.max())}, expected 0..{num_classes - 1} "
            "(255 = not judged, in the target only)."
        )
