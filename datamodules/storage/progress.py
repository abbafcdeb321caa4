"""Tools for long work over many files: a progress bar, threads, and all problems reported at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.processes import cores

MAX_PROBLEMS = 20  # damaged files reported before reading stops

Update = Callable[[int], Any]


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Update]:
    """Show a progress bar with the count and the time left; yield the function that advances it."""
    with tqdm(total=total, desc=f"  {title}", unit="file", mininterval=1.0) as bar:
        yield bar.update


def in_threads(fill: Callable[[int], str | None], count: int, title: str) -> None:
    """Call ``fill`` for every row in threads (Pillow decodes in parallel) and raise all problems at once."""
    problems: list[str] = []
    with progress_bar(title, count) as advance, ThreadPoolExecutor(cores()) as pool:
        for first in range(0, count, 256):
            rows = range(first, min(first + 256, count))
            problems += [problem for problem in pool.map(fill, rows) if problem]
            advance(len(rows))
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise UserError("\n".join(problems[:MAX_PROBLEMS]))
