"""How a command ends: one sentence for what a user can mend; it goes on when nobody reads its output any more."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning_mmdiff.errors import UserError

GONE = (errno.EIO, errno.EPIPE)
"""Errors of writing to a terminal that was closed, and to a pipe whose reader has ended (``| head``)."""
FULL = (errno.ENOSPC, errno.EDQUOT)
TOO_LARGE = errno.EFBIG
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


@contextmanager
def readable_end(elsewhere: str = "choose a writable folder") -> Iterator[None]:
    """End a command without runs: a mistake, or an error of the file system, is one sentence and exit code 1.

    Args:
        elsewhere: remedy where a file cannot be written.
    """
    with steady_output():
        try:
            yield
        except UserError as error:
            sys.exit(f"error: {error}")
        except OSError as error:
            sys.exit(f"error: {file_system_sentence(error, elsewhere=elsewhere) or error}")
        except KeyboardInterrupt:
            sys.exit("Stopped. Run the same command again to go on.")


def file_system_sentence(error: OSError, *, elsewhere: str, below: str = "") -> str | None:
    """Return the system's message, its location and a remedy; None if a user cannot fix the error.

    Args:
        error: error of the file system.
        elsewhere: remedy where a file cannot be written.
        below: location to name if the error names none.
    """
    number, what = error.errno, error.strerror or str(error)
    if number is None and "requested and" in what:  # how numpy reports a full disk
        number, what = errno.ENOSPC, os.strerror(errno.ENOSPC)
    if number is None and isinstance(error, PermissionError):  # raised by us
        number = errno.EACCES
    remedies = {
        **dict.fromkeys(FULL, "free some space"),
        **dict.fromkeys(NOT_WRITABLE, elsewhere),
        TOO_LARGE: "raise the limit on the size of files (ulimit -f)",
    }
    if number not in remedies:
        return None
    where = f"{error.filename}: {what}" if error.filename else what.rstrip(".") + (f" (below {below})" if below else "")
    return f"{where}; {remedies[number]} and run the same command again: what is done is kept."


@contextmanager
def steady_output() -> Iterator[None]:
    """Drop what is printed inside the block once the terminal is closed or the pipe's reader has ended; work goes on."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and _Steady(stream) for stream in before)  # None: closed from the start
    try:
        yield
    finally:
        ours = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = before
        for stream in ours:
            if isinstance(stream, _Steady):
                stream.flush()  # at the exit of the interpreter it would be an error


class _Steady:
    """A text stream that writes to nowhere once it has lost its reader."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop, the text."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write, or drop, what is buffered."""
        self._attempt(self._stream.flush)

    def _attempt(self, call: Callable[[], object]) -> None:
        try:
            call()
        except OSError as error:
            if error.errno not in GONE:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(
                nowhere, self._stream.fileno()
            )  # also for whoever holds the stream itself, and for what is buffered
            os.close(nowhere)
