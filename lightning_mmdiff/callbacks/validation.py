"""The loss on held-out images during training, with the same images, timesteps and noise every time.

It draws from generators of its own and leaves the model as it was, so the trained weights are the same bit for bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from lightning_mmdiff.runtime.steps import steps_done
from lightning_mmdiff.seeding import generator, shared


@runtime_checkable
class Validated(Protocol):
    """A model that can be measured on held-out images, as ``models.training.SeededTraining`` can."""

    def held_out(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss as "loss", and its parts by name; change nothing in the model."""
        ...


class Validation:
    """Measurement of the held-out loss at equal intervals of steps and at the last step."""

    def __init__(self, batches: Callable[[], Sequence[Mapping[str, Any]]], *, every: int, last: int) -> None:
        """Measure on ``batches()``, which is called at the first measurement.

        Args:
            batches: function that returns the batches of held-out images; processes divide them among themselves.
            every: steps between two measurements.
            last: last step of the training.
        """
        self.batches, self.every, self.last = batches, every, last

    def is_due(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        """Return whether the model is to be measured now; false for models that cannot be."""
        step = steps_done(trainer)
        return isinstance(pl_module, Validated) and (step % self.every == 0 or step == self.last)

    @torch.no_grad()
    def measure(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
        """Return the mean over all held-out images of the loss and of each of its parts, by name; {} without images."""
        assert isinstance(pl_module, Validated)
        if not (batches := self.batches()):
            return {}
        count = sum(len(batch["image"]) for batch in batches)
        names: list[str] = []
        total = torch.zeros(())
        with evaluation(pl_module), trainer.precision_plugin.val_step_context():
            for number, whole in enumerate(batches):
                batch, draws, rows = _share(whole, number, trainer.global_rank, trainer.world_size)
                if rows or not names:  # a process without a share knows the names nonetheless
                    batch = trainer.strategy.batch_to_device(batch, pl_module.device)
                    losses = pl_module.held_out(batch, draws)
                    values = torch.stack([value.detach().float() for value in losses.values()]).cpu()
                    names, total = list(losses), total + rows / count * values
        total = trainer.strategy.reduce(total.to(pl_module.device), reduce_op="sum")
        return dict(zip(names, total.tolist()))


def _share(
    batch: Mapping[str, Any], number: int, rank: int, world_size: int
) -> tuple[Mapping[str, Any], torch.Generator, int]:
    """Return what a process measures of batch ``number``, its draws, and its number of rows: 0 if it is to count for nothing.

    A batch of as many rows for each process is divided by rows, as in training; another is measured by one process.

    Args:
        batch: the whole batch.
        number: its number, on which the draws depend.
        rank: the process.
        world_size: number of processes.
    """
    draws, size = generator("held out", number), len(batch["image"])
    if size % world_size:
        return batch, draws, size if number % world_size == rank else 0
    return _rows(batch, rank, world_size), shared(draws, rank, world_size), size // world_size


def _rows(batch: Mapping[str, Any], rank: int, world_size: int) -> dict[str, Any]:
    """Return every ``world_size``-th row of a batch, from row ``rank``."""
    return {
        name: _rows(value, rank, world_size) if isinstance(value, Mapping) else value[rank::world_size]
        for name, value in batch.items()
    }


@contextmanager
def evaluation(module: LightningModule) -> Iterator[None]:
    """Put ``module`` into evaluation mode, and each of its parts back into its own mode at the end."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
