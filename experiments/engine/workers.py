"""Additional processes on this machine for the work of one command (``--workers``)."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from rich.console import Console

from experiments.core.provenance import gpu_names
from experiments.engine.parent import PARENT
from lightning_mmdiff.runtime import stand_ins

VISIBLE = "CUDA_VISIBLE_DEVICES"

console = Console(highlight=False)


def gpus() -> list[str]:
    """Return the names of the GPUs that this process sees, as ``VISIBLE`` has them."""
    count = len(gpu_names())
    named = os.environ.get(VISIBLE, "").split(",")
    return named[:count] if len(named) >= count and named[0] else [str(number) for number in range(count)]


def cores() -> int:
    """Return the number of processes that ``--workers 0`` means: one for each CPU core that torch would use, at most 8.

    Each takes about a gigabyte. Where there is a GPU, one process keeps it busy.
    """
    return 1 if torch.cuda.is_available() else min(torch.get_num_threads(), 8)


@contextmanager
def helpers(count: int, words: Sequence[str], folder: Path, devices: Sequence[str] = ()) -> Iterator[None]:
    """Start ``count - 1`` more processes that do the same work inside the block; all divide this process's CPU threads.

    They exit by themselves when everything is done, and are stopped if the block fails. Their output goes to log files.

    Args:
        count: number of processes, including this one.
        words: arguments of ``python`` in their command.
        folder: folder of the logs.
        devices: GPUs, of which each process uses one of its own; this process uses the first.
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
    visible = [{VISIBLE: device} for device in devices[1:]] or [{}] * len(logs)
    started = [start(words, log, environment | own) for log, own in zip(logs, visible, strict=True)]
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


def start(words: Sequence[str], log: Path | None, environment: dict[str, str]) -> subprocess.Popen:
    """Start ``python`` with ``words``; it ends when this process does, however that ends (``parent.follow_parent``).

    It ignores Ctrl-C, which a terminal sends to all: the first process tells it when to stop.

    Args:
        words: arguments.
        log: file for its output; None leaves it on the terminal.
        environment: its environment.
    """
    environment = environment | {PARENT: str(os.getpid()), stand_ins.LOADED: "1"}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the child
    try:
        if log:
            log.unlink(missing_ok=True)  # it may be a link
        with log.open("x", encoding="utf-8") if log else nullcontext() as file:
            return subprocess.Popen([sys.executable, *words], stdout=file, stderr=file, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
