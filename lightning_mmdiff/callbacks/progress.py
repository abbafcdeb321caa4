"""Progress bar with the name, progress and remaining time of a run, counted in steps or images."""

from collections.abc import Callable
from typing import Any

from lightning import Callback, LightningModule, Trainer
from tqdm import tqdm

from lightning_mmdiff.runtime.steps import steps_done


class RunProgress(Callback):
    """One line on the terminal for ``fit`` (training steps) and ``predict`` (images)."""

    def __init__(
        self, name: str, *, max_steps: int = 0, num_images: int = 0, count: Callable[[], int] = lambda: 0
    ) -> None:
        """Show one run.

        Args:
            name: name of the run.
            max_steps: total number of training steps.
            num_images: total number of images.
            count: function that returns the number of finished images, by all processes together.
        """
        self.name, self.max_steps, self.num_images, self.count = name, max_steps, num_images, count
        self.bar: tqdm | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar at the step where training starts or resumes."""
        self._open(trainer, self.max_steps, steps_done(trainer), "step")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Advance by one step; show the loss every 50 steps."""
        if self.bar is not None:
            self.bar.update(1)
            if steps_done(trainer) % 50 == 0 and "loss" in trainer.callback_metrics:
                self.bar.set_postfix(loss=f"{trainer.callback_metrics['loss'].item():.4f}")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar for the images that are still missing."""
        self._open(trainer, self.num_images, self.count(), "image")

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Advance to the number of images on disk."""
        if self.bar is not None:
            self.bar.update(self.count() - self.bar.n)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal clean for the error message."""
        self._close()

    def _open(self, trainer: Trainer, total: int, initial: int, unit: str) -> None:
        if trainer.is_global_zero:
            self.bar = tqdm(total=total, initial=initial, desc=f"  {self.name}", unit=unit, mininterval=1.0)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
