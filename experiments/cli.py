"""The command line of every table. It chooses what runs and where; it never changes a hyperparameter."""

import errno
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import tyro
from rich.console import Console
from rich.markup import escape

from experiments.spec import Profile, Run, SampleRun, TableFunction, TrainRun, plan

console = Console(highlight=False)

REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST), "choose a writable --out"),
}
"""What a user can do about an error of the file system; any other is ours, and shows its traceback."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Train, sample and score the rows of one table, then report. Running the same command again goes on where it stopped."""

    profile: Profile = "mini"
    """mini: minutes on a laptop CPU, rendered data. smoke: seconds, meaningless numbers. paper: the published setting."""
    launcher: Literal["local", "dry-run"] = "local"
    """Run here, or only print the runs."""
    only: tuple[str, ...] = ()
    """Names of runs to do, as printed by --launcher dry-run (no report is made then). Default: all."""
    out: Path = Path("runs")
    """Root of all run folders."""
    data: Path | None = None
    """Root of the data sets (CelebAMask-HQ/, ffhq/). Default: rendered data for mini and smoke, data/ for paper."""
    seeds: int = 1
    """Training seeds; with more than one the intervals cover them."""


def main(table: TableFunction) -> None:
    """Run a table from the command line; a user's mistake ends with one sentence and exit code 1."""
    flags = tyro.cli(Flags, description=(sys.modules["__main__"].__doc__ or "").strip() or None)
    try:
        run_table(table, flags)
    except (ValueError, FileNotFoundError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(_file_system_sentence(error, flags.out))
    except KeyboardInterrupt:
        console.print("Stopped. Run the same command again to go on.")
        sys.exit(130)


def _fail(sentence: str) -> NoReturn:
    console.print(f"[bold red]error:[/] {escape(sentence)}", soft_wrap=True)
    sys.exit(1)


def _file_system_sentence(error: OSError, out: Path) -> str:
    """What the system said, where, and what to do; raises ``error`` again if a user can do nothing about it."""
    number, what = error.errno, error.strerror or str(error)
    if number is None and "requested and" in what:  # how numpy reports a full disk
        number, what = errno.ENOSPC, os.strerror(errno.ENOSPC)
    if number is None and isinstance(error, PermissionError):  # raised by us
        number = errno.EACCES
    if number not in REMEDIES:
        raise error
    where = f"{error.filename}: {what}" if error.filename else f"{what.rstrip('.')} (below {out})"
    return f"{where}; {REMEDIES[number]} and run the same command again: what is done is kept."


def run_table(table: TableFunction, flags: Flags) -> None:
    """Do every run of the table that is not done yet, then write and print the report."""
    if flags.seeds < 1:
        raise ValueError(f"--seeds is {flags.seeds}; it must be at least 1.")
    tables = [table(flags.profile, seed) for seed in range(flags.seeds)]
    runs = _chosen(plan(tables), flags.only)
    if flags.launcher == "dry-run":
        for run in runs:
            after = ", ".join(n.name for n in run.needs) or "-"
            print(f"{'train' if isinstance(run, TrainRun) else 'sample':7s}{run.name:36s} after {after}")
        return
    from experiments import reporting, stages  # heavy imports: not for --help and dry runs

    workspace = stages.Workspace.make(flags.profile, flags.out, flags.data)
    stages.prepare_data(workspace, runs)
    todo = [run for run in runs if not stages.is_done(workspace, run, tables)]
    clock = _Clock(todo)
    for number, run in enumerate(todo, len(runs) - len(todo) + 1):
        console.print(f"[bold]\\[{number}/{len(runs)}][/] {clock.describe(run)}")
        stages.do(workspace, run, tables)
        clock.finished(run)
    if not flags.only:
        reporting.report(workspace, tables, command=_command(flags))


def _chosen(runs: list[Run], only: tuple[str, ...]) -> list[Run]:
    unknown = sorted(set(only) - {r.name for r in runs})
    if unknown:
        raise ValueError(f"--only {' '.join(unknown)}: no such run; this table has {', '.join(r.name for r in runs)}.")
    return [r for r in runs if not only or r.name in only]


def _command(flags: Flags) -> str:
    spec = sys.modules["__main__"].__spec__
    parts = [f"python -m {spec.name if spec else 'experiments'}", f"--profile {flags.profile}"]
    return " ".join(parts + ([f"--seeds {flags.seeds}"] if flags.seeds > 1 else []))


class _Clock:
    """Time left, from the cost of the runs in network evaluations and the speed seen so far."""

    def __init__(self, runs: list[Run]):
        self.left = {run.name: _cost(run) for run in runs}
        self.start, self.done = time.monotonic(), 0.0

    def describe(self, run: Run) -> str:
        passed = time.monotonic() - self.start
        left = sum(self.left.values()) * passed / self.done if self.done else None
        what = "train" if isinstance(run, TrainRun) else "sample and score"
        return f"{what} {run.name}" + (f"  (about {left / 60:.0f} min left in all)" if left is not None else "")

    def finished(self, run: Run) -> None:
        self.done += self.left.pop(run.name)


def _cost(run: Run) -> float:
    if isinstance(run, SampleRun):
        calls = 2 * len(run.experts) if run.method == "unite" else len(run.experts)
        return run.num_images * (run.sampler.num_steps * calls + 20)
    return run.trainer.max_steps * run.batch_size * 3.5
