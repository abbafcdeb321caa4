"""Which processes do which runs: single processes share most, and a training on several devices has its own group.

A process belongs to a group for one run only: its ranks could do nothing else without doing it twice.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from experiments.core.costs import processes
from experiments.core.workspace import Workspace
from experiments.engine.launch import is_group, use_tensor_cores
from experiments.engine.work import Work, needed
from experiments.engine.workers import VISIBLE, helpers, start
from experiments.runs import Run
from experiments.spec import Table
from lightning_mmdiff.runtime import stand_ins


def phases(runs: Sequence[Run], tables: Sequence[Table]) -> list[list[Run]]:
    """Divide ``runs``, each after those it needs: runs of single processes together, each larger training alone."""
    left, found = list(runs), []
    while left:
        later: list[Run] = []  # trainings on several devices, and what needs them
        for run in left:
            if processes(run) > 1 or not needed(run, tables).isdisjoint(later):
                later.append(run)
        now = [run for run in left if run not in later]
        found += [now] if now else []
        found += [later[:1]] if later else []
        left = later[1:]
    return found


@contextmanager
def together(
    workspace: Workspace, runs: Sequence[Run], tables: Sequence[Table], command: Sequence[str], *,
    workers: int, devices: Sequence[str],
) -> Iterator[Work]:  # fmt: skip
    """Yield what this process is to do of one phase, while helpers share it; a group does its training first.

    Args:
        workspace: where things are.
        runs: the runs of the phase.
        tables: tables whose rows are measured.
        command: arguments of ``python`` in the command of all these runs without a report.
        workers: processes that the user asked for.
        devices: the GPUs; each has a process of its own.
    """
    work = Work(workspace, runs, tables)
    if work.left:
        stand_ins.require_libraries()
        use_tensor_cores()
    if work.left and processes(runs[0]) > 1:
        torch.cuda.empty_cache()  # the group needs this GPU too
        _run_apart(command)
        work = Work(workspace, runs, tables)
    count = max(workers, len(devices)) if work.left else 1
    with helpers(count, command, workspace.runs / "workers", devices), _only(devices[:1]):
        yield work


@contextmanager
def in_group(workspace: Workspace, runs: Sequence[Run], tables: Sequence[Table]) -> Iterator[Work]:
    """Yield what this process does as one of a group, or as its first, which starts the others."""
    assert is_group(runs)
    stand_ins.require_libraries()
    use_tensor_cores()
    yield Work(workspace, runs, tables)


@contextmanager
def _only(devices: Sequence[str]) -> Iterator[None]:
    """Let this process use and count (``core.energy``) none but these GPUs inside the block; all, if none are named."""
    before = os.environ.get(VISIBLE)
    if devices:
        os.environ[VISIBLE] = ",".join(devices)
    try:
        yield
    finally:
        os.environ.pop(VISIBLE, None)
        if before is not None:
            os.environ[VISIBLE] = before


def _run_apart(command: Sequence[str]) -> None:
    """Run a command of its own to its end, and exit as it did if that was early: it has said why."""
    process = start(command, None, dict(os.environ))
    try:
        code = process.wait()
    except BaseException:
        process.terminate()  # it saves its work
        process.wait()
        raise
    if code:
        sys.exit(code if code > 0 else 128 - code)
