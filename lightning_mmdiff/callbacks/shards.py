"""Predicted images as uint8 shards on disk: image i is row i % size of shard i // size, whoever computes it and whenever."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from lightning_mmdiff.files import atomic_path


def shard_path(folder: Path, number: int) -> Path:
    """File of shard ``number`` (counted from 0)."""
    return folder / f"{number:05d}.npy"


def missing_shards(folder: Path, num_images: int, size: int) -> list[list[int]]:
    """Image numbers of every shard that is not on disk yet; the last shard may be shorter than ``size``."""
    starts = range(0, num_images, size)
    return [list(range(s, min(s + size, num_images))) for s in starts if not shard_path(folder, s // size).exists()]


def shard_files(folder: Path, num_images: int, size: int) -> list[Path]:
    """All shards in order.

    Raises:
        ValueError: if some are missing.
    """
    missing = missing_shards(folder, num_images, size)
    if missing:
        done = num_images - sum(map(len, missing))
        raise ValueError(f"{folder}: {done} of {num_images} images; run the command again to finish sampling.")
    return [shard_path(folder, n) for n in range(-(-num_images // size))]


def read_images(folder: Path, num_images: int, size: int) -> np.ndarray:
    """All images of a finished run, uint8 [N, 3, H, W]."""
    return np.concatenate([np.load(p) for p in shard_files(folder, num_images, size)])


class ShardWriter(BasePredictionWriter):
    """Write the prediction of each batch, which must be exactly one shard, under a temporary name and rename it."""

    def __init__(self, folder: Path, size: int):
        """``size`` is the number of images per shard."""
        super().__init__(write_interval="batch")
        self.folder, self.size = folder, size

    def write_on_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, prediction: Tensor, batch_indices: Sequence[int] | None,
        batch: dict[str, Any], batch_idx: int, dataloader_idx: int,
    ) -> None:  # fmt: skip
        """Store uint8 [B, 3, H, W]."""
        first = int(batch["index"][0])
        assert first % self.size == 0, "a prediction batch is one shard"
        with atomic_path(shard_path(self.folder, first // self.size)) as temporary:
            np.save(temporary, prediction.numpy())
