"""Scores of label maps painted in palette colors, as in MT-Diffusion's Table 4 on Cityscapes; higher is better.

Each pixel of the generated picture takes the class of the nearest palette color (Euclidean in RGB), and the counts of
all images are added up before scores are computed (pix2pix's evaluation): per-pixel accuracy; per-class accuracy, the mean
of the classes' recalls; class IoU, the mean of their intersections over unions. Void pixels (255) are not evaluated.

As published, the means run over all classes, and a class that never occurs counts as 0. With "-Present" in a protocol's
name, they run over the classes that occur (in the target for accuracy, in either map for IoU), for sets that lack some.
Cityscapes' colors are close (bus and train differ by 20): compare pictures that never went through lossy compression.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.bootstrap import resamples
from lightning_mmdiff.metrics.images import check_images
from lightning_mmdiff.metrics.results import MetricResult
from lightning_mmdiff.metrics.segmentation import confusion, resize_labels

Array = NDArray[np.float64]


def nearest_color(images: Tensor, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the row of ``palette`` nearest to each pixel, uint8 [B, H, W]; the first of equally near rows.

    Args:
        images: uint8 RGB, [B, 3, H, W].
        palette: RGB colors of classes 0..K-1, uint8 [K, 3], all different.
    """
    check_images(images)
    colors = torch.from_numpy(_checked(palette)).float().to(images.device)  # integers below 2^24: exact in float32
    labels = []
    for image in images:  # one at a time: [K, H, W] distances of a 1024 x 2048 picture are 160 MB
        products = torch.einsum("kc,chw->khw", colors, image.float())
        distance = colors.square().sum(dim=1)[:, None, None] - 2 * products  # without |pixel|^2, the same for all
        labels.append(distance.argmin(dim=0).to(torch.uint8).cpu().numpy())
    return np.stack(labels) if labels else np.zeros((0, *images.shape[2:]), np.uint8)


def palette_confusion(images: Tensor, target: NDArray, palette: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count pixels of class (target, generated) in each image, [B, K, K], at the size of the target.

    Args:
        images: generated label pictures, uint8 RGB, [B, 3, h, w]; their classes are resized (nearest) to H x W.
        target: class of each pixel, 0..K-1 and 255 for void, [B, H, W].
        palette: RGB colors of classes 0..K-1, uint8 [K, 3].
    """
    if len(images) != len(target):
        raise UserError(f"{len(images)} images and {len(target)} targets: give the target of each image.")
    labels = nearest_color(images, palette)
    counts = [
        confusion(resize_labels(labels[i : i + 1], target.shape[1:]), target[i : i + 1], len(palette))
        for i in range(len(target))
    ]
    return np.concatenate(counts) if counts else np.zeros((0, len(palette), len(palette)), np.int64)


def palette_scores(counts: NDArray, *, only_present: bool = False) -> Array:
    """Return per-pixel accuracy, per-class accuracy and class IoU, [..., 3] in [0, 1].

    Args:
        counts: summed confusion matrices, rows = target, [..., K, K].
        only_present: leave classes that never occur out of the means instead of counting them as 0.
    """
    counts = np.asarray(counts, np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)  # [..., K]
    in_target, in_prediction = counts.sum(axis=-1), counts.sum(axis=-2)
    pixel = hits.sum(axis=-1) / np.maximum(in_target.sum(axis=-1), 1)
    scores = [pixel]
    for size in (in_target, in_target + in_prediction - hits):  # |B|, |A or B|
        each = hits / np.maximum(size, 1)
        number = (size > 0).sum(axis=-1) if only_present else counts.shape[-1]
        scores.append(each.sum(axis=-1) / np.maximum(number, 1))
    return np.stack(scores, axis=-1)


def palette_results(
    protocols: Sequence[str],
    counts: NDArray[np.int64],
    /,
    *,
    only_present: bool = False,
    num: int = 1000,
    seed: int = 0,
    **extra: Any,
) -> list[MetricResult]:
    """Return the three scores of a set of images, with replicates from resampled images.

    Args:
        protocols: names of per-pixel accuracy, per-class accuracy and class IoU.
        counts: confusion matrix of each image, [N, K, K], from ``palette_confusion``.
        only_present: see ``palette_scores``.
        num: number of replicates.
        seed: seed of the resamples.
        **extra: facts that a reader must know.
    """
    if counts.ndim != 3 or not counts.sum():
        raise UserError(
            f"Palette scores need confusion matrices [N, K, K] with judged pixels, got {list(counts.shape)}."
        )
    weight = np.stack([np.bincount(index, minlength=len(counts)) for index in resamples(len(counts), num, seed)])
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    resampled = (weight @ flat).reshape(num, *counts.shape[1:])  # [num, K, K]
    value = palette_scores(counts.sum(axis=0), only_present=only_present)
    replicates = palette_scores(resampled, only_present=only_present)
    return [
        MetricResult(
            protocol=protocol,
            value=float(value[i]),
            n=len(counts),
            better="higher",
            replicates=replicates[:, i],
            extra=extra,
        )
        for i, protocol in enumerate(protocols)
    ]


def _checked(palette: NDArray) -> NDArray[np.uint8]:
    if palette.dtype != np.uint8 or palette.ndim != 2 or palette.shape[1] != 3:
        raise UserError(f"A palette is uint8 [K, 3], got {palette.dtype} {list(palette.shape)}.")
    if len(np.unique(palette, axis=0)) != len(palette):
        raise UserError("Two classes of the palette have the same color; such classes cannot be told apart.")
    return palette
