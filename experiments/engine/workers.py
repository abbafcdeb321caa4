"""Additional processes on this machine for the work of one command (``--workers``)."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

console = Console(highlight=False)


@contextmanager
def helpers(count: int, words: Sequence[str], folder: Path) -> Iterator[None]:
    """Start ``count - 1`` more processes that do the same work inside the block; all divide this process's CPU threads.

    They exit by themselves when everything is done, and are stopped if the block fails. Their output goes to log files.

    Args:
        count: number of processes, including this one.
        words: arguments of ``python`` in their command.
        folder: folder of the logs.
    """
    if count == 1:
        yield
        return
    available = torch.get_num_threads()
    threads = max(1, available // count)
    torch.set_num_threads(threads)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    folder.mkdir(parents=True, exist_ok=True)
    console.print(f"{count} workers, threads of each: {threads}; {folder} shows what the others do")
    logs = [folder / f"{number}.log" for number in range(2, count + 1)]
    started = [_start(words, log, environment) for log in logs]
    try:
        yield
    except BaseException:
        for process in started:
            process.terminate()  # as a cluster does: they save their work
        raise
    finally:
        codes = [process.wait() for process in started]
        torch.set_num_threads(available)
    for log, code in zip(logs, codes):
        if code:
            console.print(f"Worker {log.stem} ended early with code {code}; {log} says why.")


def _start(words: Sequence[str], log: Path, environment: dict[str, str]) -> subprocess.Popen:
    """Start one helper. It ignores Ctrl-C, which a terminal sends to all: the first process tells it when to stop."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the child
    try:
        log.unlink(missing_ok=True)  # it may be a link
        with log.open("x", encoding="utf-8") as file:
            return subprocess.Popen([sys.executable, *words], stdout=file, stderr=subprocess.STDOUT, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
