"""NIQE (Mittal, Soundararajan and Bovik, IEEE Signal Processing Letters 2013), quality without a reference; lower is better.

How far the statistics of an image's brightness are from those of pristine images: 18 numbers of each block at two scales
(Sec. II-A to II-C), whose mean and covariance are compared with a Gaussian fitted to pristine images (Eq. 10). "NIQE-BasicSR"
reads the published Gaussian from BasicSR's copy; with a Gaussian of other images, or blocks of another size, it has another name.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from scipy.special import gamma
from torch import Tensor

from lightning_mmdiff.errors import UnmeasurableError, UserError
from lightning_mmdiff.metrics.images import check_images

Array = NDArray[np.float64]
BLOCK = 96
"""Side of a block in pixels, as published; half of it at the second scale."""
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbors whose products are described: right, below, and both diagonals."""
LUMA = np.array([65.481, 128.553, 24.966]) / 255
"""ITU-R BT.601 brightness of RGB in 0 to 255, plus 16."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """A Gaussian of the 36 numbers of a block."""

    mean: Array  # [36]
    covariance: Array  # [36, 36]


def published(path: Path) -> Statistics:
    """Return the Gaussian of the published pristine photographs from ``niqe_pris_params.npz``."""
    with np.load(path) as file:
        try:
            mean, covariance = file["mu_pris_param"].reshape(-1), file["cov_pris_param"]
        except KeyError as error:
            raise UserError(f"{path}: has {sorted(file)}, expected mu_pris_param and cov_pris_param.") from error
    return Statistics(mean=mean.astype(np.float64), covariance=covariance.astype(np.float64))


def luma(images: Tensor) -> Array:
    """Return the brightness of uint8 RGB [N, 3, H, W], rounded, in 16 to 235: [N, H, W]."""
    check_images(images)
    return np.round(np.einsum("nchw,c->nhw", images.numpy().astype(np.float64), LUMA) + 16)


def block_features(brightness: Array, block: int = BLOCK) -> Array:
    """Return the 36 numbers of each whole block of an image.

    Args:
        brightness: in 0 to 255, [H, W]; a border that fills no block is left out.
        block: side of a block in pixels, even.

    Returns:
        18 numbers at full size, then 18 at half size, [blocks, 36]; NaN where a block is constant.

    Raises:
        UserError: if no block fits.
    """
    rows, columns = (side // block for side in brightness.shape)
    if not rows * columns:
        raise UserError(f"NIQE needs images of at least {block}x{block} pixels, got {list(brightness.shape)}.")
    image = brightness[: rows * block, : columns * block]
    scales = []
    for side, pixels in ((block, image), (block // 2, _halved(image))):
        normalized = _normalized(pixels)
        parts = normalized.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
        scales.append(np.stack([_of_block(part) for part in parts]))
    return np.concatenate(scales, axis=1)


def fit(features: Array) -> Statistics:
    """Return the Gaussian of features [blocks, 36]; blocks with a NaN do not count."""
    usable = features[~np.isnan(features).any(axis=1)]
    return Statistics(mean=usable.mean(axis=0), covariance=np.cov(usable, rowvar=False))


def distance(features: Array, pristine: Statistics) -> float:
    """Return how far an image's features [blocks, 36] are from ``pristine`` (Eq. 10).

    Raises:
        UnmeasurableError: if fewer than two blocks vary: a constant image has no statistics.
    """
    usable = features[~np.isnan(features).any(axis=1)]
    if len(usable) < 2:
        raise UnmeasurableError(f"NIQE needs two blocks that are not constant, got {len(usable)} of {len(features)}.")
    difference = pristine.mean - np.nanmean(features, axis=0)
    covariance = (pristine.covariance + np.cov(usable, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))


def niqe(images: Tensor, pristine: Statistics, block: int = BLOCK) -> Array:
    """Return the distance of each image, uint8 RGB [N, 3, H, W]: [N].

    Raises:
        UnmeasurableError: naming the first image that has no statistics.
        UserError: if images are smaller than a block.
    """
    distances = []
    for number, image in enumerate(luma(images)):
        try:
            distances.append(distance(block_features(image, block), pristine))
        except UnmeasurableError as error:
            raise UnmeasurableError(f"Image {number}: {error}") from error
    return np.array(distances)


def _window(size: int = 7, sigma: float = 7 / 6) -> Tensor:
    """Return a Gaussian window that sums to 1, [1, 1, size, size]."""
    line = torch.exp(-((torch.arange(size, dtype=torch.float64) - size // 2) ** 2) / (2 * sigma**2))
    window = line[:, None] * line[None, :]
    return (window / window.sum())[None, None]


def _normalized(image: Array) -> Array:
    """Return the image minus its local mean, over its local deviation plus 1 (Eq. 1), [H, W]."""
    x = torch.from_numpy(image)[None, None]

    def smooth(values: Tensor) -> Tensor:
        return F.conv2d(F.pad(values, (3, 3, 3, 3), mode="replicate"), _window())

    mean = smooth(x)
    deviation = (smooth(x.square()) - mean.square()).abs().sqrt()
    return ((x - mean) / (deviation + 1))[0, 0].numpy()


def _halved(image: Array) -> Array:
    x = torch.from_numpy(image)[None, None]
    half = F.interpolate(x, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)
    return half[0, 0].numpy()


def _of_block(block: Array) -> Array:
    """Return the 18 numbers of one block at one scale: its shape and spread, and those of four neighbor products."""
    alpha, left, right = _asymmetric(block)
    numbers = [alpha, (left + right) / 2]
    for shift in SHIFTS:
        alpha, left, right = _asymmetric(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * gamma(2 / alpha) / gamma(1 / alpha)
        numbers += [alpha, mean, left, right]
    return np.array(numbers)


@cache
def _shapes() -> tuple[Array, Array]:
    """Return the shapes that are tried, and the ratio that tells them (Lasmar et al. 2009), both [K]."""
    alpha = np.arange(0.2, 10.001, 0.001)
    return alpha, gamma(2 / alpha) ** 2 / (gamma(1 / alpha) * gamma(3 / alpha))


def _asymmetric(values: Array) -> tuple[float, float, float]:
    """Fit an asymmetric generalized Gaussian by its moments; return its shape, and its left and right scale."""
    low, high = values[values < 0], values[values > 0]
    if not len(low) or not len(high):
        return (np.nan,) * 3
    left, right = np.sqrt(np.mean(low**2)), np.sqrt(np.mean(high**2))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shapes, ratios = _shapes()
    alpha = shapes[np.argmin((ratios - ratio) ** 2)]
    scale = np.sqrt(gamma(1 / alpha) / gamma(3 / alpha))
    return float(alpha), float(left * scale), float(right * scale)
