"""How a command ends: one sentence for a user's mistake, a saved traceback for a bug, advice on resuming after a signal."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from experiments.engine.parent import follow_parent
from experiments.engine.requeue import job_id, requeue
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.commands import file_system_sentence, steady_output
from lightning_mmdiff.runtime.interruption import Interrupted, raising

console = Console(highlight=False)


@contextmanager
def endings(out: Path, *, debug: bool) -> Iterator[None]:
    """Turn an exception inside the block into a readable end of the process; without a terminal, work goes on.

    Args:
        out: root of the run folders, for file system errors that name no file.
        debug: show the traceback of a bug even if it is kept in a file.
    """
    with steady_output():
        try:
            with raising():
                follow_parent()
                yield
        except Interrupted as stop:
            _leave(stop.signum)
        except UserError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            console.print("Stopped. Run the same command again to go on.")
            sys.exit(130)
        except Exception as error:
            if isinstance(error, OSError) and (
                sentence := file_system_sentence(error, elsewhere="choose a writable --out", below=str(out))
            ):
                _fail(sentence)
            kept = getattr(error, "__notes__", [])  # left by the code that wrote the traceback to a file
            if debug or not kept:
                raise
            _fail(
                f"{type(error).__name__}: {error}. This is a fault of the program; {kept[-1]}, and --debug shows it here."
            )


def _leave(signum: int) -> NoReturn:
    """Exit after a signal. Near its time limit (SIGUSR1) a job requeues itself; a SIGTERM was sent on purpose."""
    if signum == signal.SIGUSR1 and job_id():
        try:
            console.print(requeue())
        except UserError as error:
            _fail(str(error))
        sys.exit(0)
    console.print(f"Stopped by {signal.Signals(signum).name}. Run the same command again to go on.")
    sys.exit(128 + signum)


def _fail(sentence: str) -> NoReturn:
    console.print(f"[bold red]error:[/] {escape(sentence)}", soft_wrap=True)
    sys.exit(1)
