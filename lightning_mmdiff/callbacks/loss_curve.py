"""Loss curve as a CSV file that a resumed run continues without gaps or repetitions."""

import os
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.steps import steps_done


class LossCurve(Callback):
    """Callback that appends ``step,loss`` every few training steps; on resume, it drops the rows after the checkpoint."""

    def __init__(self, path: Path, every: int = 10):
        """Write to ``path``, with ``every`` training steps between rows."""
        self.path, self.every = path, every

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the rows up to the checkpoint from which training resumes."""
        if trainer.is_global_zero:
            rows = self.path.read_text().splitlines()[1:] if self.path.exists() else []
            kept = [r for r in rows if r.count(",") == 1 and int(r.split(",")[0]) <= steps_done(trainer)]
            with atomic_path(self.path) as temporary:
                temporary.write_text("\n".join(["step,loss", *kept]) + "\n")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write a row with the loss of the whole batch, which is the mean over the processes that share the batch."""
        if steps_done(trainer) % self.every:
            return
        loss = trainer.strategy.reduce(trainer.callback_metrics["loss"], reduce_op="mean")
        if trainer.is_global_zero:
            with self.path.open("a") as file:
                file.write(f"{steps_done(trainer)},{float(loss):.6g}\n")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Flush the rows to disk: a checkpoint must never survive a crash of the machine without them."""
        if trainer.is_global_zero and self.path.exists():
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
