"""Training ends quietly in a process that was taken for dead (a stopped or cut-off machine) when another goes on with it."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer

from lightning_mmdiff.runtime.locks import LostLockError, WorkLocks


class StillOurs(Callback):
    """Callback that asks at intervals whether the lock of this training is still ours; place it before all that write."""

    def __init__(self, locks: WorkLocks, name: str) -> None:
        """Ask for the lock ``name``, at most once per heartbeat; nobody takes over sooner."""
        self.locks, self.name = locks, name
        self._asked = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask before anything is written: what this process read of the run may be old by now.

        Raises:
            LostLockError: if another process trains now.
        """
        self._leave_if(trainer, lost=trainer.is_global_zero and not self.is_ours())

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Ask if it is time to; of several processes the first holds the lock, and all leave together.

        Raises:
            LostLockError: if another process trains now.
        """
        due = time.monotonic() - self._asked >= self.locks.heartbeat
        self._leave_if(trainer, lost=trainer.is_global_zero and due and not self.is_ours())

    def _leave_if(self, trainer: Trainer, *, lost: bool) -> None:
        if trainer.strategy.reduce_boolean_decision(lost, all=False):
            raise LostLockError(f"{self.locks.folder / self.name} belongs to another process now")

    def is_ours(self) -> bool:
        """Return whether this process still holds the lock."""
        self._asked = time.monotonic()
        try:
            self.locks.require(self.name)
        except LostLockError:
            self._asked = float("-inf")  # ask again, and leave, at the end of the step
            return False
        return True
