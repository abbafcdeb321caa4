"""Dropout as a function of the step: torch's own generators begin step k from (seed, k, process), wherever a run resumed."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from lightning_mmdiff.runtime.steps import steps_done
from lightning_mmdiff.seeding import generator


class StepSeeds(Callback):
    """Seed torch's global generators, which dropout draws from, before each training batch.

    The noise and the timesteps of a loss have generators of their own (``seeding.step_generator``).
    """

    def __init__(self, seed: int) -> None:
        """``seed`` of the run."""
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Seed the generators of the CPU and of all GPUs."""
        key = ("dropout", self.seed, steps_done(trainer), trainer.global_rank)
        torch.manual_seed(generator(*key).initial_seed())
