"""A table with trainings on two devices and on one, as a module that a real command can start."""

import sys
from dataclasses import replace

import small_runs
import torch
from lightning import Callback

from experiments.core import build
from experiments.engine.cli import main
from experiments.runs import TrainRun
from experiments.spec import Row, Table

STEPS = 12


def expert(name: str, devices: int) -> TrainRun:
    """A tiny denoiser without dropout, whose masks each process draws for itself."""
    run = small_runs.expert(steps=STEPS)
    model = replace(run.model, network=replace(run.model.network, dropout=0.0))
    return replace(run, name=name, model=model, trainer=replace(run.trainer, devices=devices))


def table(profile, seed) -> Table:
    """Samples of models of one process each, and of two together, one of them with two optimizers."""
    rows = [
        replace(small_runs.samples(expert(name, devices), num_images=10, num_steps=4), name=f"{name}-samples")
        for name, devices in (("before", 1), ("both", 2), ("after", 1))
    ]
    gan = small_runs.gan(steps=STEPS, name="gan", devices=2)
    rows.append(replace(small_runs.generated(gan), name="gan-samples"))
    found = small_runs.table_of(rows[0], ("SSIM",))
    return replace(found, name="two_devices", rows=tuple(Row(label=row.name, sample=row) for row in rows))


class Tell(Callback):
    """Print which rows each process trains on."""

    def on_train_batch_start(self, trainer, module, batch, number) -> None:
        folder = trainer.default_root_dir
        with open(f"{folder}/rank{trainer.global_rank}of{trainer.world_size}.txt", "a") as file:
            print(*batch["index"].tolist(), file=file)


def tell() -> None:
    """Add ``Tell`` to every training."""
    plain = build.trainer
    build.trainer = lambda config, folder, callbacks: plain(config, folder, [Tell(), *callbacks])


if __name__ == "__main__":
    torch.set_num_threads(1)
    tell()
    sys.exit(main(table))
