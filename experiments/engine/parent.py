"""A process that another command started ends with it, however that ends: it saves its work as after SIGTERM."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PARENT = "MMDIFF_PARENT"
"""Environment variable with the number of the process that started this one and that it is to end with."""
LOOK = 1.0
"""Seconds between two looks at the parent."""


def follow_parent() -> None:
    """Send SIGTERM to this process as soon as the one that started it is gone; do nothing if a user started it."""
    number = os.environ.pop(PARENT, None)
    if number is not None and number.isdecimal():
        threading.Thread(target=_watch, args=(int(number),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def followed() -> Iterator[None]:
    """Let the commands that are started inside the block (the ranks of a training) end with this process."""
    os.environ[PARENT] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(PARENT, None)
