"""Predicted images as uint8 shards on disk: image i is row i % size of shard i // size, in any process at any time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from torch.utils.data import Sampler

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import shard_path
from lightning_mmdiff.runtime.stored import stored_array


def shards(num_images: int, size: int) -> list[list[int]]:
    """Return the image numbers of every shard; the last may be shorter than ``size``."""
    return [list(range(s, min(s + size, num_images))) for s in range(0, num_images, size)]


def missing_shards(folder: Path, num_images: int, size: int) -> list[list[int]]:
    """Return the image numbers of every shard that is not on disk yet, or not whole."""
    return [b for b in shards(num_images, size) if not _is_there(folder, b, size)]


def _is_there(folder: Path, numbers: Sequence[int], size: int) -> bool:
    return stored_array(shard_path(folder, numbers[0] // size)) is not None


def shard_files(folder: Path, num_images: int, size: int) -> list[Path]:
    """Return the files of all shards in order.

    Raises:
        UserError: if some are missing.
    """
    missing = missing_shards(folder, num_images, size)
    if missing:
        done = num_images - sum(map(len, missing))
        raise UserError(f"{folder}: {done} of {num_images} images; run the command again to finish sampling.")
    return [shard_path(folder, n) for n in range(-(-num_images // size))]


def read_images(folder: Path, num_images: int, size: int) -> np.ndarray:
    """Return all images of a finished run, uint8 [N, 3, H, W]."""
    return np.concatenate([np.load(p) for p in shard_files(folder, num_images, size)])


def locked_shards(folder: Path, num_images: int, size: int, locks: WorkLocks) -> Iterator[list[int]]:
    """Yield the image numbers of the shards that this process should make, until all shards are on disk.

    Args:
        folder: folder of the shards.
        num_images: number of images of the run.
        size: number of images per shard.
        locks: locks through which processes share the shards.
    """
    pieces = {f"{numbers[0] // size:05d}": numbers for numbers in shards(num_images, size)}
    return locks.share(pieces, lambda numbers: _is_there(folder, numbers, size))


class LockedShards(Sampler[int]):
    """Numbers of the shards that this process should make; each is locked only after the previous one is written."""

    def __init__(self, folder: Path, num_images: int, size: int, locks: WorkLocks) -> None:
        """Share the shards of a run.

        Args:
            folder: as in ``locked_shards``.
            num_images: as in ``locked_shards``.
            size: as in ``locked_shards``.
            locks: as in ``locked_shards``.
        """
        self.folder, self.num_images, self.size, self.locks = folder, num_images, size, locks

    def __iter__(self) -> Iterator[int]:
        """Yield shard numbers; needs a loader without workers, which would run ahead."""
        mine = locked_shards(self.folder, self.num_images, self.size, self.locks)
        return (numbers[0] // self.size for numbers in mine)

    def __len__(self) -> int:
        """Return the largest number that this process may get: all shards."""
        return len(shards(self.num_images, self.size))


class ShardWriter(BasePredictionWriter):
    """Writer of each batch's prediction, exactly one shard, under a temporary name that is then renamed."""

    def __init__(self, folder: Path, size: int):
        """Write into ``folder``, with ``size`` images per shard."""
        super().__init__(write_interval="batch")
        self.folder, self.size = folder, size

    def write_on_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, prediction: Tensor, batch_indices: Sequence[int] | None,
        batch: dict[str, Any], batch_idx: int, dataloader_idx: int,
    ) -> None:  # fmt: skip
        """Store the predicted images of a batch.

        Args:
            trainer: not used.
            pl_module: not used.
            prediction: images, uint8 [B, 3, H, W].
            batch_indices: not used.
            batch: holds the image numbers as "index".
            batch_idx: not used.
            dataloader_idx: not used.
        """
        first = int(batch["index"][0])
        assert first % self.size == 0, "a prediction batch is one shard"
        with atomic_path(shard_path(self.folder, first // self.size)) as temporary:
            np.save(temporary, prediction.numpy())
