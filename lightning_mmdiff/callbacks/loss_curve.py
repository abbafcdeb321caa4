"""Loss curve as a CSV file that a resumed run continues without gaps or repetitions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from lightning_mmdiff.callbacks.validation import Validation
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.run_folder import HELD_OUT
from lightning_mmdiff.runtime.steps import steps_done


class LossCurve(Callback):
    """Callback that appends the loss, its parts and its value on held-out images to a file.

    The columns are ``step``, ``loss``, every other value that the step logged, and the same names after ``HELD_OUT``, empty
    at steps without a validation. Checkpoints hold the rows up to them, and a resumed run writes those anew: a process that
    was taken for dead may leave a checkpoint behind whose last rows are not in the file of the process after it.
    """

    def __init__(
        self, path: Path, every: int = 10, validation: Validation | None = None,
        may_write: Callable[[], bool] = lambda: True, also: Callable[[int, Mapping[str, float]], None] = lambda *_: None,
    ):  # fmt: skip
        """Write to ``path``.

        Args:
            path: the file.
            every: training steps between rows.
            validation: each of its measurements makes a row, too.
            may_write: asked before each write; false if another process writes the file now.
            also: takes the step and the values of each row, too.
        """
        self.path, self.every, self.validation, self.may_write, self.also = path, every, validation, may_write, also
        self._columns: list[str] = ["step", "loss"]
        self._rows: list[list[str]] = []  # each may be shorter than the columns: those that came later are empty

    def state_dict(self) -> dict[str, Any]:
        """Return the columns and rows so far."""
        return {"columns": self._columns, "rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the columns and rows up to a checkpoint."""
        self._columns, self._rows = state_dict["columns"], state_dict["rows"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the rows up to the checkpoint from which training resumes."""
        if trainer.is_global_zero:
            self._write_all()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write all rows anew, whatever happened to the file meanwhile."""
        if trainer.is_global_zero and self.may_write():
            self._write_all()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write a row with the means over the processes that share the batch."""
        held_out: dict[str, float] = {}
        if self.validation and self.validation.is_due(trainer, pl_module):
            held_out = self.validation.measure(trainer, pl_module)
        if steps_done(trainer) % self.every and not held_out:
            return
        logged = trainer.callback_metrics
        names = ["loss", *(name for name in logged if name != "loss")]
        means = trainer.strategy.reduce(torch.stack([logged[name].float() for name in names]), reduce_op="mean")
        if trainer.is_global_zero:
            values = dict(zip(names, means.tolist())) | {f"{HELD_OUT}{k}": v for k, v in held_out.items()}
            known = len(self._columns)
            self._keep({"step": str(steps_done(trainer))} | {k: f"{v:.6g}" for k, v in values.items()})
            if self.may_write():
                self.also(steps_done(trainer), values)
                self._write_last(new_columns=len(self._columns) > known)

    def _keep(self, row: Mapping[str, str]) -> None:
        self._columns += [name for name in row if name not in self._columns]
        self._rows.append([row.get(name, "") for name in self._columns])

    def _write_last(self, *, new_columns: bool) -> None:
        if new_columns:
            self._write_all()
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._line(self._rows[-1]))

    def _line(self, cells: list[str]) -> str:
        return ",".join([*cells, *[""] * (len(self._columns) - len(cells))]) + "\n"

    def _write_all(self) -> None:
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(map(self._line, [self._columns, *self._rows])), encoding="utf-8")
