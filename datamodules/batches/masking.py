"""MT-Diffusion (Chen et al., ICLR 2024), Sec. 4.1 and App. E.2: images with random square holes.

There are m ~ U{low..high} patches. Each starts at a pixel drawn uniformly from the image and is cut off at the image
border, so some patches are smaller. Mean share of hidden pixels: 38% for m = 10 patches of 16 pixels in a 64-pixel image.
"""

from dataclasses import dataclass

import numpy as np

from datamodules.batches.randomness import Draws
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError


@dataclass(frozen=True, kw_only=True)
class MaskConfig(Config):
    """Random square holes in an image."""

    low: int
    high: int
    """Number of patches: uniform from ``low`` to ``high``, both included."""
    patch: int
    """Side length of a patch in pixels."""
    complete: float = 0.0
    """Share of the training images that are hidden entirely; test images never are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low <= self.high or self.patch < 1 or not 0 <= self.complete <= 1:
            raise UserError(f"{self}: expected 0 <= low <= high patches of at least 1 pixel, and complete in [0, 1].")


def train_masks(config: MaskConfig, keys: np.ndarray, size: int) -> np.ndarray:
    """Return the masks of one training batch.

    Args:
        config: number and size of the patches.
        keys: int64 [B], one per row; a mask depends only on its key.
        size: S, height and width of the image in pixels.

    Returns:
        uint8 [B, 1, S, S]: 255 = visible, 0 = hidden.
    """
    draws = Draws("train masks", indices=keys)
    masks = _masks(config, draws, size)
    masks[draws.chance("complete", config.complete)] = 0
    return masks


def fixed_masks(config: MaskConfig, indices: np.ndarray, size: int) -> np.ndarray:
    """Return the masks of test images ``indices`` [B], as above; more patches keep the same holes and add others."""
    return _masks(config, Draws("test masks", indices=indices), size)


def _masks(config: MaskConfig, draws: Draws, size: int) -> np.ndarray:
    counts = config.low + np.floor(draws.uniform("count") * (config.high - config.low + 1)).astype(np.int64)
    tops, lefts = (np.floor(draws.uniform(name, count=config.high) * size).astype(np.int64) for name in ("top", "left"))
    masks = np.full((len(counts), 1, size, size), 255, np.uint8)
    for mask, count, top, left in zip(masks, counts, tops, lefts):
        for y, x in zip(top[:count], left[:count]):
            mask[:, y : y + config.patch, x : x + config.patch] = 0  # E.2: (x : min(x + 16, 64), y : min(y + 16, 64))
    return masks
