"""Signals that ask a process to stop: SIGTERM (shutdown, preemption), SIGUSR1 (a cluster's time limit is near), Ctrl-C.

Work that can be thrown away ends at once with an exception. Training first finishes its step and saves
(``callbacks.checkpoints``); a second Ctrl-C ends it at once.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Interrupted(BaseException):
    """Exception after a signal to stop this process; files on disk are complete. ``except Exception`` does not catch it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


def listen(handle: Callable[[int], None], *, ctrl_c: bool = False) -> None:
    """Handle ``SIGNALS`` with ``handle`` from now on; only in the main thread, as Python requires.

    With ``ctrl_c``, handle the first SIGINT too, unless this process was started to ignore it.

    Forked children, such as the workers of a data loader, inherit the handler but do not act: schedulers signal all
    processes of a job, and the parent decides.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    owner = os.getpid()

    def answer(signum: int, _: Any) -> None:
        if os.getpid() == owner:
            handle(signum)

    def answer_once(signum: int, _: Any) -> None:
        if os.getpid() == owner:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            handle(signum)

    for number in SIGNALS:
        signal.signal(number, answer)
    if ctrl_c and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, answer_once)


@contextmanager
def raising() -> Iterator[None]:
    """Raise ``Interrupted`` on a signal inside the block, and restore the earlier handlers afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    listen(_raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_in_worker(_: int) -> None:
    """Ignore ``SIGNALS``, as the ``worker_init_fn`` of a data loader: the parent ends its workers, so none may fail first."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _raise(signum: int) -> None:
    raise Interrupted(signum)
