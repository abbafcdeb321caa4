"""Every adversarial model on a few batches in double precision, as a module for one process, or for two that share them.

python -m together PROCESSES FOLDER
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import small
import torch
from lightning import Trainer
from torch.utils.data import DataLoader, IterableDataset

from experiments.core import build
from lightning_mmdiff.baselines.adversarial import AdversarialModel
from lightning_mmdiff.optimization import OptimizerConfig

STEPS, BATCH = 6, 8
RATE = OptimizerConfig(lr=1e-3, betas=(0.5, 0.9))


class Batches(IterableDataset):
    """Batches of random pictures and maps, of which process r of W takes every W-th row from row r."""

    def __init__(self, model: AdversarialModel) -> None:
        self.model = model

    def __iter__(self) -> Iterator[dict[str, Any]]:
        own = slice(self.model.global_rank, None, self.model.processes)
        for step in range(STEPS):
            batch = whole(step, self.model.config.image_size)
            yield {"image": batch["image"][own], "conditions": {k: v[own] for k, v in batch["conditions"].items()}}


def whole(step: int, size: int) -> dict[str, Any]:
    """The whole batch of a step."""
    draws = torch.Generator().manual_seed(step)

    def picture(channels: int) -> torch.Tensor:
        return torch.randint(256, (BATCH, channels, size, size), generator=draws, dtype=torch.uint8)

    return {"image": picture(3), "conditions": {"photo": picture(3), "hair": picture(1), "skin": picture(1)}}


def train(name: str, processes: int, folder: Path) -> None:
    """Train a model, and write its weights and the last losses."""
    model: Any = replace(small.CONFIGS[name], optimizer=RATE, discriminator_optimizer=RATE).build(seed=0)
    trainer = Trainer(
        default_root_dir=folder, accelerator="cpu", devices=processes, precision="64-true", max_epochs=1,
        enable_checkpointing=False, **build.QUIET,
    )  # fmt: skip
    trainer.fit(model, DataLoader(Batches(model), batch_size=None))
    losses = {key: trainer.strategy.reduce(value, reduce_op="mean") for key, value in trainer.callback_metrics.items()}
    if trainer.is_global_zero:
        torch.save({**model.state_dict(), **losses}, folder / f"{name}-{processes}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in small.CONFIGS:
        train(each, int(sys.argv[1]), Path(sys.argv[2]))
