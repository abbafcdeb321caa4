"""More processes on this machine for the work of one command (``--workers``)."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from rich.console import Console

console = Console(highlight=False)


@contextmanager
def helpers(count: int, words: Sequence[str], folder: Path) -> Iterator[None]:
    """Inside the block ``count - 1`` more processes do the same work; the CPU threads of one are divided among all.

    They end by themselves when all is done, and are stopped if the block fails. What they print goes to log files.

    Args:
        count: of processes, this one included.
        words: what follows ``python`` in their command.
        folder: of the logs.
    """
    if count == 1:
        yield
        return
    threads = max(1, torch.get_num_threads() // count)
    torch.set_num_threads(threads)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    folder.mkdir(parents=True, exist_ok=True)
    console.print(f"{count} workers, threads of each: {threads}; {folder} shows what the others do")
    with ExitStack() as stack:
        started = []
        for number in range(2, count + 1):
            log = stack.enter_context((folder / f"{number}.log").open("w"))
            command = [sys.executable, *words]
            started.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment))
        try:
            yield
        except BaseException:
            for process in started:
                process.terminate()  # as a cluster does: they save what they have
            raise
        finally:
            codes = [process.wait() for process in started]
    for number, code in enumerate(codes, 2):
        if code:
            console.print(f"Worker {number} ended early with code {code}; {folder / f'{number}.log'} says why.")
