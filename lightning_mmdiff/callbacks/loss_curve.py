"""Loss curve as a CSV file that a resumed run continues without gaps or repetitions."""

import csv
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
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
    at steps without a validation. On resume, the rows after the checkpoint are dropped.
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
            may_write: asked before each row; false if another process writes the file now.
            also: takes the step and the values of each row, too.
        """
        self.path, self.every, self.validation, self.may_write, self.also = path, every, validation, may_write, also
        self._columns: list[str] = ["step", "loss"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the rows up to the checkpoint from which training resumes."""
        if trainer.is_global_zero:
            last = steps_done(trainer)
            self._write_all([row for row in self._rows() if int(row["step"]) <= last])

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
        if trainer.is_global_zero and self.may_write():
            values = dict(zip(names, means.tolist())) | {f"{HELD_OUT}{k}": v for k, v in held_out.items()}
            self.also(steps_done(trainer), values)
            self._append({"step": str(steps_done(trainer))} | {k: f"{v:.6g}" for k, v in values.items()})

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Flush the rows to disk: a checkpoint must never survive a crash of the machine without them."""
        if trainer.is_global_zero and self.path.exists():
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())

    def _append(self, row: Mapping[str, str]) -> None:
        if new := [name for name in row if name not in self._columns]:
            rows = list(self._rows())
            self._columns += new
            self._write_all(rows)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(",".join(row.get(name, "") for name in self._columns) + "\n")

    def _rows(self) -> Iterator[dict[str, str]]:
        """Yield the complete rows of the file, whatever its columns are, and take over its columns; warn if some are not."""
        if not self.path.exists():
            return
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            heads, *lines = list(csv.reader(line.replace("\0", "") for line in file if line.endswith("\n"))) or [[]]
        if heads[:1] != ["step"]:
            warnings.warn(f"{self.path} is damaged (it has no columns); the curve starts again.", stacklevel=2)
            return
        self._columns += [name for name in heads if name not in self._columns]
        whole = [line for line in lines if len(line) == len(heads) and line[0].isdecimal()]
        if len(whole) < len(lines):
            warnings.warn(f"{self.path}: {len(lines) - len(whole)} damaged rows are left out.", stacklevel=2)
        yield from (dict(zip(heads, line)) for line in whole)

    def _write_all(self, rows: list[dict[str, str]]) -> None:
        lines = (",".join(row.get(name, "") for name in self._columns) for row in rows)
        with atomic_path(self.path) as temporary:
            temporary.write_text("\n".join([",".join(self._columns), *lines]) + "\n", encoding="utf-8")
