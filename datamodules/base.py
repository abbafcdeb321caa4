"""What the data modules share: a folder of packed data, endless training batches by step, batches to sample from."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sized
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batches.steps import (
    DataSplit,
    PredictBatches,
    Share,
    StepBatchSampler,
    StepLoader,
    TrainBatches,
)
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.steps import steps_done


def require_known(what: str, name: object, known: Iterable[str]) -> None:
    """Raise UserError, with the nearest name that there is, where ``name`` is not among ``known``."""
    names = tuple(known)
    if name not in names:
        nearest = get_close_matches(str(name), names, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
        raise UserError(f"Unknown {what} {name!r}: choose from {', '.join(names)}{hint}")


class PackedDataModule(LightningDataModule):
    """A data set at one size with some conditions; ``prepare_data`` packs it once, ``setup`` opens what is packed.

    Args:
        root: folder of the data set.
        image_size: pixels.
        batch_size: rows of a training batch over all processes.
        conditions: what a batch holds beside the image; one that is not asked for is absent.
        seed: of the order of training images and of everything else that is drawn for them.
        flip: mirror half of the training images.
        num_workers: processes that assemble batches; 0 is right for packed data that fits into memory.
        cache: folder for the packed data where ``root`` is read-only; ``<root>/.packed`` otherwise.
    """

    train: DataSplit
    test: DataSplit
    layout: ClassVar[str]  # what ``root`` should look like
    known_conditions: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...]] = ()  # of the optional fields of ``DataConfig``, those that this data set takes
    pack_suffix: str = ""  # tells data sets with the same root apart

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
        self.start_step = 0  # first training step where no Trainer says which
        self.cached: dict[str, Callable[[Tensor], Tensor]] = {}  # see ``TrainBatches``
        self.predict_batches: list[list[int]] | None = None  # image numbers of each batch to sample

    @classmethod
    def check_conditions(cls, conditions: tuple[str, ...]) -> None:
        """Raise UserError where no batch of this data set can hold one of ``conditions``."""
        for name in conditions:
            require_known("condition", name, cls.known_conditions)

    @classmethod
    def check_options(cls, conditions: tuple[str, ...], **options: Any) -> None:
        """Raise UserError where ``options`` are unknown, or ``conditions`` need others."""

    @abstractmethod
    def check(self) -> Sized:
        """Return the listed files, with all that this configuration needs; packs nothing."""

    @abstractmethod
    def prepare_data(self) -> None:
        """Check the files and pack them unless that is done."""

    @abstractmethod
    def setup(self, stage: str | None = None) -> None:
        """Map the packed arrays and split them."""

    @property
    def folder(self) -> Path:
        """Return where the packed data lies."""
        name = f"{self.image_size}px{self.pack_suffix}"
        if self.cache is None:
            return self.root / ".packed" / name
        digest = hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:8]
        return Path(self.cache) / f"{self.root.name}-{digest}" / name

    def fingerprint(self) -> str:
        """Return a digest of the packed content: it tells whether two folders hold the same images and labels."""
        index = json.loads((self.folder / "index.json").read_text())
        return hashlib.sha256(json.dumps(index["fingerprint"], sort_keys=True).encode()).hexdigest()[:16]

    def train_batches(self, *, rank: int = 0, world_size: int = 1) -> TrainBatches:
        """Return the function from a step to the rows that process ``rank`` trains on."""
        sampler = StepBatchSampler(
            len(self.train), self.batch_size, self.seed, rank=rank, world_size=world_size, flip=self.flip
        )
        return TrainBatches(self.train, sampler, self.cached)

    def train_dataloader(self) -> StepLoader:
        """Return endless batches from the trainer's step on (``start_step`` without a trainer)."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = self.train_batches(rank=rank, world_size=world_size)
        return StepLoader(batches, next_step=self._next_step, num_workers=self.num_workers)

    def predict_dataloader(self) -> DataLoader:
        """Return this process's share of ``predict_batches``, or of all test images in order."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return self.predict_share(rank=rank, world_size=world_size)

    def predict_share(self, *, rank: int, world_size: int) -> DataLoader:
        """Return the batches to sample that process ``rank`` takes."""
        count = len(self.test)
        default = [list(range(i, min(i + self.batch_size, count))) for i in range(0, count, self.batch_size)]
        batches = default if self.predict_batches is None else self.predict_batches
        share = Share(len(batches), rank=rank, world_size=world_size)
        return DataLoader(
            PredictBatches(self.test, batches), sampler=share, batch_size=None, num_workers=self.num_workers
        )

    def _next_step(self) -> int:
        return steps_done(self.trainer) if self.trainer else self.start_step
