"""Training steps, counted in batches: the same number whether one, several or no optimizers step on a batch."""

from typing import Any

from lightning import Callback, LightningModule, Trainer


def steps_done(trainer: Any) -> int:
    """Return how many training batches ``trainer`` has processed; also valid right after restoring a checkpoint.

    ``trainer.global_step`` counts calls of optimizers instead: two per batch for a GAN.
    """
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed


class StopAfter(Callback):
    """Callback that ends training after ``max_steps`` batches; ``Trainer(max_steps=...)`` would count optimizer calls."""

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the checkpoint is that of the last step."""
        self._stop_if_done(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop after the last step."""
        self._stop_if_done(trainer)

    def _stop_if_done(self, trainer: Trainer) -> None:
        if steps_done(trainer) >= self.max_steps:
            trainer.should_stop = True
