"""Dropout as a function of the step: torch's own generators start step k from (seed, k, process), even after a resume."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from lightning_mmdiff.runtime.steps import steps_done
from lightning_mmdiff.seeding import generator


class StepSeeds(Callback):
    """Callback that seeds torch's global generators, from which dropout draws, before each training batch.

    The noise and timesteps of a loss use separate generators (``seeding.step_generator``).
    """

    def __init__(self, seed: int) -> None:
        """Use the ``seed`` of the run."""
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Seed the generators of the CPU and of all GPUs."""
        key = ("dropout", self.seed, steps_done(trainer), trainer.global_rank)
        torch.manual_seed(generator(*key).initial_seed())
