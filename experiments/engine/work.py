"""The loop over a table's runs, shared by all started processes: each does work that no other is doing."""

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console

from experiments.core.costs import work
from experiments.core.provenance import is_first_process
from experiments.core.workspace import Workspace
from experiments.engine import stages
from experiments.engine.clock import Clock
from experiments.engine.launch import is_group
from experiments.runs import Run, SampleRun
from experiments.spec import Table
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import remove_stale
from lightning_mmdiff.runtime.locks import LostLockError, WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder

POLL = 0.5
"""Seconds between checks on other processes when there is nothing to do."""

console = Console(highlight=False)


class Work:
    """The unfinished runs of some tables.

    A model that another process is training is skipped, as are the runs that need it, until nothing else is left; a set of
    samples is shared with the other processes working on it.
    """

    def __init__(self, workspace: Workspace, runs: Sequence[Run], tables: Sequence[Table]):
        """Take ``runs``, each after the runs it needs; leave out finished ones.

        Raises:
            UserError: if a run's folder holds results of other settings.
        """
        self.workspace, self.runs, self.tables = workspace, runs, tables
        self.left = [run for run in runs if not stages.is_done(workspace, run, tables)]
        self.clock, self.joint = Clock(self.left), is_group(runs)
        if not self.joint:
            self.left = longest_first(self.left, tables)

    def candidates(self) -> Iterator[Run]:
        """Yield runs that can be attempted now (see ``doing``), until every run is done, no matter by which process."""
        named = ""
        while self.left:
            before = len(self.left)
            for run in self.left[:1] if self.joint else list(self.left):
                if not self.joint and stages.is_done(self.workspace, run, self.tables):  # joint processes look once
                    self._finish(run)
                elif not self._waits(run) and not self._holder(run):
                    yield run
                if len(self.left) < before:
                    break
            else:
                first = self.left[0]  # nothing that it needs is left, so everything waits for it
                if (holder := self._holder(first)) and named != first.name:
                    console.print(f"  {first.name} is being trained by {holder}; waiting for it")
                    named = first.name
                time.sleep(POLL)

    @contextmanager
    def doing(self, run: Run) -> Iterator[bool]:
        """Yield whether this process should do ``run`` inside the block; mark it as done at the end.

        On an error, leave the reason in the run's folder for the report, with the traceback if it is a bug.
        """
        folder = RunFolder(self.workspace.runs / run.name)
        number = len(self.runs) - len(self.left) + 1
        console.print(f"[bold]\\[{number}/{len(self.runs)}][/] {self.clock.describe(run)}")
        folder.failure.unlink(missing_ok=True)
        remove_stale(folder.path)
        with self._lock(run, folder) as mine:
            if mine:
                self.clock.begin(run)
            try:
                yield mine
            except LostLockError:
                console.print(
                    f"  {run.name}: another process goes on with it, since this one did not answer for a while"
                )
                return
            except Exception as error:
                _keep_reason(error, folder)
                raise
        if mine:
            folder.failure.unlink(missing_ok=True)  # of a process that gave up meanwhile
            WorkLocks(folder.locks).clear()
            self._finish(run)

    @contextmanager
    def _lock(self, run: Run, folder: RunFolder) -> Iterator[bool]:
        """Lock a training for one process; of processes that train together, the first holds the lock for all."""
        if isinstance(run, SampleRun) or not is_first_process():
            yield True
            return
        with WorkLocks(folder.locks).try_acquire(stages.TRAINING) as mine:
            yield mine and not folder.weights.exists()  # the weights may have appeared since we looked

    def _finish(self, run: Run) -> None:
        self.left.remove(run)
        self.clock.finished(run)

    def _holder(self, run: Run) -> str | None:
        """Return a human-readable owner of the training lock, if another process holds it."""
        if isinstance(run, SampleRun) or not is_first_process():
            return None
        return WorkLocks(RunFolder(self.workspace.runs / run.name).locks).holder(stages.TRAINING)

    def _waits(self, run: Run) -> bool:
        """Return whether a model that ``run`` needs, or an evaluator of its samples, is still untrained."""
        return not needed(run, self.tables).isdisjoint(self.left)


def _keep_reason(error: Exception, folder: RunFolder) -> None:
    """Write why the run failed, with a traceback only if the user cannot fix the error."""
    text = f"{type(error).__name__}: {error}\n"
    if not isinstance(error, UserError | OSError):
        text += "\n" + "".join(traceback.format_exception(error))
        error.add_note(f"its traceback is in {folder.failure}")
    with suppress(OSError):  # a full disk must not hide the first error
        folder.failure.write_text(text, encoding="utf-8")


def needed(run: Run, tables: Sequence[Table]) -> set[Run]:
    """Return the models that ``run`` needs, and the evaluators of its samples."""
    needs: set[Run] = set(run.needs)
    if isinstance(run, SampleRun):
        uses = (t for t in tables if any(row.sample == run for row in t.rows))
        needs |= {evaluator for t in uses for evaluator in t.evaluators}
    return needs


def longest_first(runs: Sequence[Run], tables: Sequence[Table]) -> list[Run]:
    """Return ``runs`` in the order of the work that waits for each of them, itself included, longest first.

    A run stays after those it needs. Several processes end at the same time only if no long training is begun last.
    """
    costs, waiting = work(runs), dict.fromkeys(runs, 0.0)
    for run in reversed(runs):  # those that wait for a run come after it
        waiting[run] += costs[run]
        for need in needed(run, tables) & waiting.keys():
            waiting[need] = max(waiting[need], waiting[run])
    return sorted(runs, key=lambda run: -waiting[run])
