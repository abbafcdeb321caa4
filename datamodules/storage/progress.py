"""Tools for long work over many files: a progress bar, threads, and all problems reported at once."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lightning_mmdiff.errors import UserError

MAX_PROBLEMS = 20  # damaged files reported before reading stops

Update = Callable[[int], None]


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Update]:
    """Show a progress bar with the count and the time left; yield the function that advances it."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def in_threads(fill: Callable[[int], str | None], count: int, title: str) -> None:
    """Call ``fill`` for every row in threads (Pillow decodes in parallel) and raise all problems at once."""
    problems: list[str] = []
    with progress_bar(title, count) as advance, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for first in range(0, count, 256):
            rows = range(first, min(first + 256, count))
            problems += [problem for problem in pool.map(fill, rows) if problem]
            advance(len(rows))
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise UserError("\n".join(problems[:MAX_PROBLEMS]))
