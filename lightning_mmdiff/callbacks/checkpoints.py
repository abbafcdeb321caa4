"""Checkpoints for resuming: at intervals of steps and of minutes, and when a signal asks the process to stop.

Lightning's own writer builds the whole file in memory and in /tmp, then copies it to its place if that is on another disk,
so a kill can leave a partial file under the final name. This one writes beside the final name and renames.
"""

import signal
import time
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from lightning_mmdiff.runtime import interruption
from lightning_mmdiff.runtime.checkpoints import by_step
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.steps import steps_done

MINUTES = 15.0
"""Most minutes of training that a killed run loses, if checkpoints are cheap."""
SHARE = 0.01
"""Largest share of the time that checkpoints may take, if one takes longer than ``CHEAP``."""
CHEAP = 1.0
"""Seconds up to which a checkpoint is never postponed."""
KEPT = 2
"""Number of newest checkpoints kept on disk, since one may turn out to be damaged."""


class Checkpoints(Checkpoint):
    """Callback that saves ``step=K.ckpt``; on a signal to stop, it finishes the step, saves and raises ``Interrupted``."""

    def __init__(self, folder: Path, *, every: int, minutes: float = MINUTES) -> None:
        """Save into ``folder``.

        Args:
            folder: created when first needed.
            every: training steps between two checkpoints.
            minutes: longest time without one. Both grow if checkpoints would take more than ``SHARE`` of the time.
        """
        self.folder, self.every, self.minutes = folder, every, minutes
        self.signum: int | None = None
        self._step = 0  # of the last checkpoint
        self._saved_at = 0.0
        self._cost = 0.0  # seconds that the last one took

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the trainer write atomically."""
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and handle signals in place of Lightning, which restores the earlier handlers at the end."""
        self._step, self._saved_at = steps_done(trainer), time.monotonic()
        interruption.listen(self._remember, ctrl_c=True)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save if a checkpoint is due; all processes decide together."""
        decide = trainer.strategy.reduce_boolean_decision
        if not decide(self._is_due(trainer), all=False):
            return
        if steps_done(trainer) > self._step:
            self._save(trainer)
        if decide(self.signum is not None, all=False):  # some may lack the signal as yet: all stop for one reason
            others = (signal.SIGUSR1, signal.SIGINT)
            heard = [number for number in others if decide(self.signum == number, all=False)]
            raise interruption.Interrupted([*heard, signal.SIGTERM][0])

    def _is_due(self, trainer: Trainer) -> bool:
        if self.signum is not None:
            return True
        steps = steps_done(trainer) // self.every > self._step // self.every
        passed, rest = time.monotonic() - self._saved_at, pause(self._cost)
        return trainer.is_global_zero and (steps and passed >= rest or passed > max(60 * self.minutes, rest))

    def _save(self, trainer: Trainer) -> None:
        start = time.monotonic()
        trainer.save_checkpoint(self.folder / f"step={steps_done(trainer)}.ckpt")
        self._step, self._saved_at = steps_done(trainer), time.monotonic()
        self._cost = self._saved_at - start
        if trainer.is_global_zero:
            for path in by_step(self.folder)[KEPT:]:
                path.unlink(missing_ok=True)

    def _remember(self, signum: int) -> None:
        self.signum = signum


def pause(seconds: float) -> float:
    """Return the least seconds of training after a checkpoint that took ``seconds`` before the next one."""
    return seconds / SHARE if seconds > CHEAP else 0.0


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writer that saves beside the final name and renames, without a copy in memory."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``; other storage options are not supported."""
        assert storage_options is None
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as opened:
            file = _Remembering(opened)
            try:
                torch.save(checkpoint, cast(IO[bytes], file))
            except RuntimeError as error:
                if file.error is not None:  # disk full
                    raise file.error from error
                raise


class _Remembering:
    """File that keeps the error of a write, since torch may report an incomplete write without its cause."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.flush = file, file.flush
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise
