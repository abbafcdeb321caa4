"""Unite and Conquer (Nair et al., CVPR 2023), Sec. 4.2: one network, data sets with one modality each.

Combined training alternates between the data sets from step to step; fine-tuning trains on the first, then on the second.
A third way, for data sets with the same conditions, mixes them in every batch: a batch norm then cannot tell them apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from datamodules.base import PackedDataModule
from datamodules.batches.steps import DataSplit, HeldOut, StepLoader, TrainBatches
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.steps import steps_done

Regime = Literal["combined", "fine_tuning", "mixed"]


@dataclass(frozen=True)
class RegimeBatches:
    """Function from a step to its training batch; each data set goes through its own batches without gaps."""

    sources: tuple[TrainBatches, ...]
    regime: Regime
    switch_step: int

    def __call__(self, step: int) -> dict[str, Any]:
        """Return the batch of ``step``; a mixed one has the rows of all data sets, in their order."""
        if self.regime == "mixed":
            return joined([source(step) for source in self.sources])
        which, own_step = turn(step, self.regime, len(self.sources), self.switch_step)
        return self.sources[which](own_step)


def turn(step: int, regime: Regime, num_sources: int, switch_step: int) -> tuple[int, int]:
    """Return the index of the data set that a step reads, and its batch index within that data set.

    Args:
        step: training step.
        regime: how training goes through the data sets.
        num_sources: number of data sets.
        switch_step: first step of fine-tuning; unused when combined.
    """
    if regime == "combined":
        return step % num_sources, step // num_sources
    return (0, step) if step < switch_step else (1, step - switch_step)


def joined(batches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one batch with the rows of all of them: tensors [B, ...], lists, and mappings of these, with the same names."""
    first, *others = batches
    if any(set(other) != set(first) for other in others):
        names = ", ".join(str(sorted(batch)) for batch in batches)
        raise UserError(f"Only batches with the same entries can be mixed; these have {names}.")
    return {name: _joined_entry([batch[name] for batch in batches]) for name in first}


def _joined_entry(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return joined(parts)
    return torch.cat(list(parts)) if isinstance(parts[0], torch.Tensor) else [row for part in parts for row in part]


class CombinedDataModule(LightningDataModule):
    """Several data modules combined, each with its own conditions; sampling and evaluation read the first.

    Args:
        data: the data modules.
        regime: "combined" reads data module ``step % len(data)``; "fine_tuning" the first, then the second; "mixed" all of
            them in every batch, whose rows are those of all modules' batches.
        switch_step: first step of fine-tuning; unused otherwise.
        num_workers: number of processes that assemble training batches.
    """

    def __init__(
        self, *, data: tuple[PackedDataModule, ...], regime: Regime, switch_step: int = 0, num_workers: int = 0
    ) -> None:
        super().__init__()
        if regime == "fine_tuning" and (len(data) != 2 or switch_step < 1):
            raise UserError(
                f"Fine-tuning needs 2 data sets and a switch_step of at least 1, got {len(data)} and {switch_step}."
            )
        if not data:
            raise UserError("Training needs at least one data set, got none.")
        self.data, self.regime, self.switch_step, self.num_workers = tuple(data), regime, switch_step, num_workers
        self.start_step = 0  # first training step if there is no Trainer

    @property
    def train(self) -> DataSplit:
        """Training images of the first data set."""
        return self.data[0].train

    @property
    def test(self) -> DataSplit:
        """Test images of the first data set."""
        return self.data[0].test

    @property
    def predict_batches(self) -> list[list[int]] | None:
        """Image numbers of each batch to sample."""
        return self.data[0].predict_batches

    @predict_batches.setter
    def predict_batches(self, batches: list[list[int]] | None) -> None:
        self.data[0].predict_batches = batches

    def prepare_data(self) -> None:
        """Pack every data set."""
        for module in self.data:
            module.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Open every data set."""
        for module in self.data:
            module.setup(stage)

    def train_dataloader(self) -> StepLoader:
        """Return endless batches that start at the trainer's step (at ``start_step`` without a trainer)."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sources = tuple(module.train_batches(rank=rank, world_size=world_size) for module in self.data)
        batches = RegimeBatches(sources, self.regime, self.switch_step)
        return StepLoader(batches, next_step=self._next_step, num_workers=self.num_workers)

    def predict_dataloader(self) -> DataLoader:
        """Return this process's share of the first data set's batches to sample."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return self.data[0].predict_share(rank=rank, world_size=world_size)

    def held_out(self, batch_size: int) -> HeldOut:
        """Return batches of test images of every data set on which to measure the loss during training."""
        return HeldOut([module.test for module in self.data], batch_size)

    def _next_step(self) -> int:
        return steps_done(self.trainer) if self.trainer else self.start_step
