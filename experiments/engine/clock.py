"""Time left until all runs of some tables are done, from the work of each run and the seconds that its kind has taken so far."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from experiments.core.costs import work
from experiments.runs import Run, TrainRun
from lightning_mmdiff.runtime.durations import duration


class Clock:
    """Estimate of the time left for the runs that a process and others do.

    A unit of work takes the seconds that it took in this process's runs of the same kind (a model's trainings, or samples); for
    a kind that it has not finished yet, the mean of all. Runs that other processes finish make the estimate shorter.
    """

    def __init__(self, runs: Sequence[Run], now: Callable[[], float] = time.monotonic) -> None:
        """Start at ``now``, a clock in seconds, with all ``runs`` still to do, in the order of the plan."""
        self.now, self.start = now, now()
        self.work = work(runs)
        self.left, self.done = list(self.work), list[Run]()
        self.own: dict[Any, tuple[float, float]] = {}  # work and seconds of this process, by kind
        self.began: tuple[Run | None, float] = (None, self.start)

    def begin(self, run: Run) -> None:
        """Note that this process begins ``run``."""
        self.began = (run, self.now())

    def finished(self, run: Run) -> None:
        """Note that ``run`` is done; it counts for its kind's seconds if this process began it last."""
        self.left.remove(run)
        self.done.append(run)
        last, since = self.began
        if last == run:
            units, seconds = self.own.get(kind(run), (0.0, 0.0))
            self.own[kind(run)] = units + self.work[run], seconds + self.now() - since
            self.began = (None, since)

    def remaining(self) -> float | None:
        """Return the seconds left, or None as long as nothing is done."""
        done = sum(map(self._seconds, self.done))
        return sum(map(self._seconds, self.left)) * (self.now() - self.start) / done if done else None

    def describe(self, run: Run) -> str:
        """Return what is done with ``run``, and the time left in all."""
        what, left = "train" if isinstance(run, TrainRun) else "sample and score", self.remaining()
        return f"{what} {run.name}" + (f"  (about {duration(left)} left in all)" if left is not None else "")

    def _seconds(self, run: Run) -> float:
        """Return the seconds of a run alone in one process; units of work before this process has finished a run."""
        measured = [self.own[kind(run)]] if kind(run) in self.own else list(self.own.values())
        units, seconds = (sum(column) for column in zip(*measured)) if measured else (1.0, 1.0)
        return self.work[run] * seconds / units


def kind(run: Run) -> Any:
    """Return what runs of the same speed have in common: the kind of their model, or that they make images."""
    return type(run.model) if isinstance(run, TrainRun) else type(run)
