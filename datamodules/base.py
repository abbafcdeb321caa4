"""Base of all data modules: a folder of packed data, endless training batches by step, batches to sample from."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batches.steps import (
    DataSplit,
    HeldOut,
    PredictBatches,
    Share,
    StepBatchSampler,
    StepLoader,
    TrainBatches,
)
from datamodules.storage.packing import read_index
from lightning_mmdiff.errors import UserError, require_known
from lightning_mmdiff.runtime.steps import steps_done


class PackedDataModule(LightningDataModule):
    """A data set at one size with selected conditions; ``prepare_data`` packs it once, ``setup`` opens the packed data.

    Args:
        root: folder of the data set.
        image_size: height and width in pixels.
        batch_size: rows of a training batch over all processes.
        conditions: contents of a batch besides the image; conditions that are not requested are absent.
        seed: seed of the order of the training images and of all other random draws for them.
        flip: whether to mirror half of the training images.
        num_workers: number of processes that assemble batches; 0 is right for packed data that fits into memory.
        cache: folder for the packed data if ``root`` is read-only; ``<root>/.packed`` by default.
    """

    train: DataSplit
    test: DataSplit
    layout: ClassVar[str]  # expected layout of ``root``
    known_conditions: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...]] = ()  # optional fields of ``DataConfig`` that this data set accepts
    pack_suffix: str = ""  # distinguishes data sets with the same root

    def __init__(
        self,
        *,
        root: Path,
        image_size: int,
        batch_size: int,
        conditions: tuple[str, ...] = (),
        seed: int = 0,
        flip: bool = False,
        num_workers: int = 0,
        cache: Path | None = None,
    ) -> None:
        super().__init__()
        self.check_conditions(conditions)
        self.root, self.image_size, self.batch_size, self.conditions = Path(root), image_size, batch_size, conditions
        self.seed, self.flip, self.num_workers, self.cache = seed, flip, num_workers, cache
        self.start_step = 0  # first training step if there is no Trainer
        self.prepared = False  # whether ``prepare_data`` uses what is packed: a command reads files once, at its start
        self.expected: str | None = None  # fingerprint of the run that opens the data
        self.cached: dict[str, Callable[[Tensor], Tensor]] = {}  # see ``TrainBatches``
        self.predict_batches: list[list[int]] | None = None  # image numbers of each batch to sample

    @classmethod
    def check_conditions(cls, conditions: tuple[str, ...]) -> None:
        """Raise UserError if this data set cannot provide one of ``conditions``."""
        for name in conditions:
            require_known("condition", name, cls.known_conditions)

    @classmethod
    def check_options(cls, conditions: tuple[str, ...], **options: Any) -> None:
        """Raise UserError if ``options`` are unknown, or if ``conditions`` need others."""

    @abstractmethod
    def check(self) -> Any:
        """Return the files, of which ``len`` is known, after checking what is needed; pack nothing."""

    @abstractmethod
    def pack(self, fits: Callable[[Any], None]) -> None:
        """Check the files and pack them unless their present content is packed already; ``fits`` may refuse them before."""

    def prepare_data(self, fits: Callable[[Any], None] = lambda files: None) -> None:
        """Check the files and pack them unless that is done; Lightning calls this before a training."""
        if not self.prepared:
            self.pack(fits)

    @abstractmethod
    def is_packed(self, files: Any) -> bool:
        """Return whether the files that ``check`` returned are packed and none has changed since."""

    @abstractmethod
    def open_some(self, files: Any, most: int) -> int:
        """Read up to ``most`` items, evenly spread, as packing does; return how many.

        Raises:
            ValueError: naming every damaged or misshapen file (up to 20).
        """

    @abstractmethod
    def num_test(self, files: Any) -> int:
        """Return the number of test images among the files that ``check`` returns."""

    @abstractmethod
    def setup(self, stage: str | None = None) -> None:
        """Memory-map the packed arrays and split them."""

    @property
    def folder(self) -> Path:
        """Folder of the packed data."""
        name = f"{self.image_size}px{self.pack_suffix}"
        if self.cache is None:
            return self.root / ".packed" / name
        digest = hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:8]
        return Path(self.cache) / f"{self.root.name}-{digest}" / name

    def fingerprint(self) -> str:
        """Return a digest of the packed content, which is equal if two folders hold the same images and labels."""
        return self._digest("fingerprint")

    def earlier_fingerprint(self) -> str:
        """Return the digest of names and sizes that earlier versions recorded in a run; labels may differ where it is equal."""
        return self._digest("by_name")

    def require_expected(self) -> None:
        """Raise UserError if what is packed is not what the run was begun on; ``setup`` asks when it has opened the arrays.

        Between the start of a run and this moment another process may have packed files that somebody edited.
        """
        if self.expected not in (None, self.fingerprint(), self.earlier_fingerprint()):
            raise UserError(
                f"{self.folder}: was packed from other files while a run opened it; run the same command again."
            )

    def _digest(self, entry: str) -> str:
        return hashlib.sha256(json.dumps(read_index(self.folder)[entry], sort_keys=True).encode()).hexdigest()[:16]

    def train_batches(self, *, rank: int = 0, world_size: int = 1) -> TrainBatches:
        """Return a function from a step to the rows that process ``rank`` trains on."""
        sampler = StepBatchSampler(
            len(self.train), self.batch_size, self.seed, rank=rank, world_size=world_size, flip=self.flip
        )
        return TrainBatches(self.train, sampler, self.cached)

    def train_dataloader(self) -> StepLoader:
        """Return endless batches that start at the trainer's step (at ``start_step`` without a trainer)."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = self.train_batches(rank=rank, world_size=world_size)
        return StepLoader(batches, next_step=self._next_step, num_workers=self.num_workers)

    def predict_dataloader(self) -> DataLoader:
        """Return this process's share of ``predict_batches``, by default of all test images in order."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return self.predict_share(rank=rank, world_size=world_size)

    def predict_share(self, *, rank: int, world_size: int) -> DataLoader:
        """Return the share of process ``rank`` of the batches to sample."""
        count = len(self.test)
        default = [list(range(i, min(i + self.batch_size, count))) for i in range(0, count, self.batch_size)]
        batches = default if self.predict_batches is None else self.predict_batches
        share = Share(len(batches), rank=rank, world_size=world_size)
        return DataLoader(
            PredictBatches(self.test, batches), sampler=share, batch_size=None, num_workers=self.num_workers
        )

    def held_out(self, batch_size: int) -> HeldOut:
        """Return batches of test images on which to measure the loss during training."""
        return HeldOut((self.test,), batch_size)

    def _next_step(self) -> int:
        return steps_done(self.trainer) if self.trainer else self.start_step
