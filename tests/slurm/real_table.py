"""Tables of real but tiny runs, as modules that jobs can start: one to interrupt, one to train in parallel.

SLOW seconds are slept in each training step until the job is started a second time, so that a test can catch it.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import small_runs
import torch

from experiments.engine.cli import main
from experiments.runs import TrainerConfig, TrainRun
from experiments.spec import Table
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.models.evaluators import Degradation, FaceParser, FaceParserConfig
from lightning_mmdiff.optimization import OptimizerConfig

PARALLEL_STEPS = 60
EXACT = Degradation(noise=0, brightness=0, color=0, contrast=0)
"""Without random damage the loss is a function of weights and batch alone, whoever computes which part."""


def table(profile, seed) -> Table:
    """Train 120 steps, sample, score; and the same parser trained by one process and by two."""
    found = small_runs.table_of(small_runs.samples(small_runs.expert(steps=120), num_steps=4), ("SSIM",))
    return replace(found, name="real_table", evaluators=(parser(1), parser(2)))


def parser(devices: int) -> TrainRun:
    """A small face parser trained by that many processes."""
    model = FaceParserConfig(channels=(8, 16), degradation=EXACT, optimizer=OptimizerConfig(lr=2e-3))
    trainer = TrainerConfig(max_steps=PARALLEL_STEPS, devices=devices, checkpoint_every=1000)
    return TrainRun(name=f"parser-{devices}", model=model, data=(small_runs.HAIR,), batch_size=4, trainer=trainer)


def tell_who_trains() -> None:
    """Leave ``process-<rank>-of-<number>`` in the working folder."""

    def on_train_start(self) -> None:
        Path(f"process-{self.global_rank}-of-{self.trainer.world_size}").touch()

    FaceParser.on_train_start = on_train_start  # type: ignore[method-assign]


def slow_down(seconds: float) -> None:
    """Sleep in each step."""
    plain = Denoiser.losses

    def losses(self, batch, generator):
        time.sleep(seconds)
        return plain(self, batch, generator)

    Denoiser.losses = losses  # type: ignore[method-assign]


if __name__ == "__main__":
    torch.set_num_threads(1)
    tell_who_trains()
    if "SLURM_RESTART_COUNT" not in os.environ:
        slow_down(float(os.environ.get("SLOW", "0")))
    main(table)
