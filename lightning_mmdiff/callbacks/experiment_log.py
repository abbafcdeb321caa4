"""The loss and sample images in TensorBoard or Weights & Biases, whose steps go on where a resumed training does."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from lightning_mmdiff.callbacks.validation import evaluation
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.steps import steps_done
from lightning_mmdiff.sampling import SamplingModule

LogKind = Literal["csv", "tensorboard", "wandb"]
IMAGES = 8
"""Most sample images."""


class ExperimentLog(Callback):
    """Callback that opens the log when training starts; ``write`` takes what the loss curve writes."""

    def __init__(
        self, kind: LogKind, folder: Path, *, every: int, conditions: Callable[[], Mapping[str, Any]] | None = None
    ) -> None:
        """Log into ``folder``/tensorboard or ``folder``/wandb.

        Args:
            kind: tensorboard or wandb.
            folder: folder of the run, after which the log is named.
            every: training steps between two sets of sample images.
            conditions: returns a batch of held-out images with the conditions to sample under; None logs no images.
        """
        self.kind, self.folder, self.every, self.conditions = kind, folder, every, conditions
        self.logger: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the log; rows after the checkpoint that training resumes from are replaced.

        Raises:
            UserError: if the library is not installed.
        """
        if not trainer.is_global_zero:
            return
        try:
            self.logger = self._open(steps_done(trainer))
        except ModuleNotFoundError as error:
            raise UserError(f"--logger {self.kind} needs its package: pip install {self.kind}.") from error

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log values of a step."""
        if self.logger is not None:
            self.logger.log_metrics(dict(values), step=step)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Log sample images when they are due, by models that sample; all randomness is that of the images' numbers."""
        step = steps_done(trainer)
        if (
            self.logger is None
            or self.conditions is None
            or step % self.every
            or not isinstance(pl_module, SamplingModule)
        ):
            return
        held_out = self.conditions()
        given = {name: value[:IMAGES] for name, value in held_out["conditions"].items()}
        batch = {"index": torch.arange(min(IMAGES, len(held_out["image"]))), "conditions": given}
        with evaluation(pl_module), torch.no_grad():
            images = pl_module.predict_step(trainer.strategy.batch_to_device(batch, pl_module.device))
        if self.kind == "wandb":
            self.logger.log_image("samples", [image.permute(1, 2, 0).numpy() for image in images], step=step)
        else:
            self.logger.experiment.add_images("samples", images, step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the log."""
        self._close("success")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the log; the training may be resumed."""
        self._close("interrupted")

    def _open(self, step: int) -> Any:
        if self.kind == "wandb":
            return WandbLogger(
                project="lightning_mmdiff",
                name=self.folder.name,
                id=self.folder.name,
                resume="allow",
                save_dir=self.folder,
            )
        return TensorBoardLogger(self.folder, name="", version="tensorboard", purge_step=step + 1)

    def _close(self, status: str) -> None:
        if self.logger is not None:
            self.logger.finalize(status)
            self.logger = None
