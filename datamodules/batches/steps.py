"""Training batches as a function of the step: batch k depends only on (seed, k), so a resumed run continues exactly.

Lightning does not fast-forward a loader on resume; these loaders start at the current step and do not need it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, get_worker_info

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.interruption import ignore_in_worker
from lightning_mmdiff.seeding import generator

logger = logging.getLogger(__name__)


class Draw(NamedTuple):
    """One row of a training batch."""

    item: int  # position in the training split
    flip: bool  # whether to mirror it left-right
    choice: int  # uniform in [0, 2^31); makes an item's other choices: one of ten captions, its holes


class StepBatchSampler:
    """Endless shuffled batches, one permutation per pass over the items; the incomplete last batch of a pass is dropped.

    If there are fewer items than rows in a batch, batches span passes and none is dropped.

    Args:
        num_items: number of training items.
        batch_size: rows of a batch over all processes.
        seed: seed of the order, the mirroring and the other choices.
        start_step: step of the first batch when iterating.
        rank: index of this process, which gets every ``world_size``-th row.
        world_size: number of processes.
        flip: whether to mirror half of the rows.
    """

    def __init__(
        self,
        num_items: int,
        batch_size: int,
        seed: int = 0,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        flip: bool = True,
    ) -> None:
        if batch_size < 1 or num_items < 1:
            raise UserError(
                f"batch_size is {batch_size} and there are {num_items} training images; both must be at least 1."
            )
        if batch_size > num_items:
            logger.warning("%d training images: they repeat within a batch of %d.", num_items, batch_size)
        if batch_size % world_size:
            raise UserError(
                f"batch_size {batch_size} (rows of all processes together) cannot be shared by {world_size} processes; "
                f"choose a multiple of {world_size}."
            )
        self.num_items, self.batch_size, self.seed, self.flip = num_items, batch_size, seed, flip
        self.start_step, self.rank, self.world_size = start_step, rank, world_size
        self._order: tuple[int, list[int]] = (-1, [])  # epoch, its permutation

    def draws(self, step: int) -> list[Draw]:
        """Return this process's rows of the batch of ``step``."""
        indices = self._items(step)
        rows = generator("rows", self.seed, step)
        flips = torch.rand(self.batch_size, generator=rows) < 0.5
        choices = torch.randint(2**31, (self.batch_size,), generator=rows)
        draws = [Draw(i, f and self.flip, c) for i, f, c in zip(indices, flips.tolist(), choices.tolist())]
        return draws[self.rank :: self.world_size]

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield the batches of ``start_step``, ``start_step + 1``, ..."""
        return map(self.draws, count(self.start_step))

    def _items(self, step: int) -> list[int]:
        if self.batch_size > self.num_items:
            rows = range(step * self.batch_size, (step + 1) * self.batch_size)
            return [self._permutation(row // self.num_items)[row % self.num_items] for row in rows]
        epoch, position = divmod(step, self.num_items // self.batch_size)
        first = position * self.batch_size
        return self._permutation(epoch)[first : first + self.batch_size]

    def _permutation(self, epoch: int) -> list[int]:
        if self._order[0] != epoch:
            order = torch.randperm(self.num_items, generator=generator("order", self.seed, epoch))
            self._order = (epoch, order.tolist())
        return self._order[1]


class StepStream(IterableDataset):
    """Stream of the batches of ``start_step``, ``start_step + 1``, ...; worker processes take turns in order."""

    def __init__(self, batch_of_step: Callable[[int], dict[str, Any]]) -> None:
        self.batch_of_step = batch_of_step
        self.start_step = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in count(self.start_step + first, stride):
            yield self.batch_of_step(step)


class StepLoader(DataLoader):
    """Loader over a ``StepStream`` that asks for the current step when an iteration begins (once per epoch)."""

    def __init__(
        self, batch_of_step: Callable[[int], dict[str, Any]], *, next_step: Callable[[], int], num_workers: int = 0
    ) -> None:
        self.stream = StepStream(batch_of_step)
        super().__init__(
            self.stream, batch_size=None, num_workers=num_workers, worker_init_fn=ignore_in_worker,
            pin_memory=torch.cuda.is_available(),  # so that a batch's copy to the GPU does not wait
        )  # fmt: skip
        self.next_step = next_step

    def __iter__(self) -> Any:
        self.stream.start_step = self.next_step()
        return super().__iter__()


class BatchReader(Protocol):
    """A split of a data set that returns items by number."""

    def __len__(self) -> int: ...

    def batch(self, indices: list[int]) -> dict[str, Any]:
        """Return the batch of these items."""
        ...


class DataSplit(BatchReader, Protocol):
    """A split that can also be trained on."""

    def draw(self, draws: list[Draw]) -> dict[str, Any]:
        """Return the batch of these rows, mirrored and varied as drawn."""
        ...


@dataclass(frozen=True)
class TrainBatches:
    """Function from a step to its training batch; plain data, so it can be sent to worker processes."""

    split: DataSplit
    sampler: StepBatchSampler
    cached: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = field(default_factory=dict)
    """Further entries of a batch by name, each a function of its "index", int64 [B], to [B, ...]."""

    def __call__(self, step: int) -> dict[str, Any]:
        """Return this process's rows of the batch of ``step``."""
        batch = self.split.draw(self.sampler.draws(step))
        return batch | {name: read(batch["index"]) for name, read in self.cached.items()}


class PredictBatches(Dataset):
    """Batches of the image numbers ``batches[j]``; image i is made from item ``i % len(split)`` and has "index" i.

    Each batch is one item of this data set, so whole batches are distributed over processes (see ``Share``).
    """

    def __init__(self, split: BatchReader, batches: list[list[int]]) -> None:
        self.split, self.batches = split, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> dict[str, Any]:
        images = self.batches[number]
        batch = self.split.batch([i % len(self.split) for i in images])
        return batch | {"index": torch.tensor(images, dtype=torch.int64)}


class HeldOut(Sequence[dict[str, Any]]):
    """Batches of at least ``IMAGES`` fixed images from test splits, which take turns; fewer if there are fewer images."""

    IMAGES = 64

    def __init__(self, splits: Sequence[BatchReader], batch_size: int) -> None:
        """Choose the images at random, but always the same ones.

        Args:
            splits: test splits.
            batch_size: rows of a batch.
        """
        self.parts: list[tuple[BatchReader, list[int]]] = []
        chosen = [torch.randperm(len(s), generator=generator("held out", len(s))).tolist() for s in splits]
        for first in range(0, -(-self.IMAGES // len(splits)), batch_size):
            rows = [items[first : first + batch_size] for items in chosen]
            self.parts += [(split, items) for split, items in zip(splits, rows) if items]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> dict[str, Any]:  # type: ignore[override]
        split, items = self.parts[number]
        return split.batch(items)


class Share(DistributedSampler):
    """The items rank, rank + world_size, ... of a data set: each item goes to exactly one process, once.

    torch's own sampler repeats items so that all processes get the same number. The base class tells Lightning that the
    items are already distributed.
    """

    def __init__(self, num_items: int, *, rank: int, world_size: int) -> None:
        self.items = range(rank, num_items, world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order is fixed."""
