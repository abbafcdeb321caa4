"""The loop over the runs of a table, in as many processes as were started: each does what no other is at."""

import time
from collections.abc import Sequence

import torch
from rich.console import Console

from experiments.core.costs import evaluations, processes
from experiments.core.workspace import Workspace
from experiments.engine import stages
from experiments.spec import Run, SampleRun, Table, TrainRun

POLL = 0.5
"""Seconds between two looks at what others are doing, when there is nothing to do."""

console = Console(highlight=False)


class Work:
    """The runs of some tables that are not done yet.

    A model that another process trains is passed over, and so is what needs it, until nothing else is left; a set of
    samples is shared with whoever is at it.
    """

    def __init__(self, workspace: Workspace, runs: Sequence[Run], tables: Sequence[Table]):
        """``runs`` after what they need; done runs are left out.

        Raises:
            ValueError: if the folder of a run holds results of other settings.
        """
        self.workspace, self.runs, self.tables = workspace, runs, tables
        self.left = [run for run in runs if not stages.is_done(workspace, run, tables)]
        self.clock, self.joint = _Clock(self.left), is_joint(runs)

    def do_all(self) -> None:
        """Return when every run is done, by whichever process."""
        told = ""
        while self.left:
            candidates = self.left[:1] if self.joint else self.left
            done = next((run for run in candidates if self._attempt(run)), None)
            if done is not None:
                self.left.remove(done)
                self.clock.finished(done)
                continue
            first = self.left[0]  # nothing that it needs is left, so it is what all wait for
            owner = stages.trainer_of(self.workspace, first)
            if owner and told != first.name:
                console.print(f"  {first.name} is being trained by {owner}; waiting for it")
                told = first.name
            time.sleep(POLL)

    def _attempt(self, run: Run) -> bool:
        """Whether ``run`` is done now: it was, or could be done here."""
        if not self.joint and stages.is_done(self.workspace, run, self.tables):  # joint processes look once, and agree
            return True
        if self._waits(run) or stages.trainer_of(self.workspace, run):
            return False
        number = len(self.runs) - len(self.left) + 1
        console.print(f"[bold]\\[{number}/{len(self.runs)}][/] {self.clock.describe(run)}")
        return stages.do(self.workspace, run, self.tables)

    def _waits(self, run: Run) -> bool:
        """Whether a model that ``run`` needs, or an evaluator of its samples, is still to be trained."""
        needs = set(run.needs)
        if isinstance(run, SampleRun):
            needs |= {
                evaluator for t in self.tables if any(row.sample == run for row in t.rows) for evaluator in t.evaluators
            }
        return any(other in needs for other in self.left)


def is_joint(runs: Sequence[Run]) -> bool:
    """Whether several processes, one a GPU, do a run together: then all must keep to the order of the runs."""
    return torch.cuda.device_count() > 1 or any(processes(run) > 1 for run in runs)


class _Clock:
    """Time left, from the cost of the runs in network evaluations and the speed seen so far."""

    def __init__(self, runs: Sequence[Run]):
        self.left = {run.name: evaluations(run) for run in runs}
        self.start, self.done = time.monotonic(), 0.0

    def describe(self, run: Run) -> str:
        passed = time.monotonic() - self.start
        left = sum(self.left.values()) * passed / self.done if self.done else None
        what = "train" if isinstance(run, TrainRun) else "sample and score"
        return f"{what} {run.name}" + (f"  (about {left / 60:.0f} min left in all)" if left is not None else "")

    def finished(self, run: Run) -> None:
        self.done += self.left.pop(run.name)
