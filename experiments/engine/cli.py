"""The command line of every table. It chooses what runs and where; it never changes a hyperparameter."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NoReturn

import tyro
from rich.console import Console
from rich.markup import escape

from experiments.engine.requeue import job_id, requeue
from experiments.spec import Profile, Run, TableFunction, TrainRun, plan
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.interruption import Interrupted, raising

console = Console(highlight=False)

REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST), "choose a writable --out"),
}
"""What a user can do about an error of the file system; any other is ours, and shows its traceback."""


@dataclass(frozen=True, kw_only=True)
class TableFlags:
    """Train, sample and score the rows of one table, then report. Running the same command again goes on where it stopped."""

    profile: Profile = "mini"
    """mini: minutes on a laptop CPU, rendered data. smoke: seconds, meaningless numbers. paper: the published setting."""
    launcher: Literal["local", "slurm", "dry-run"] = "local"
    """Run here, submit to SLURM as the cluster file says (python -m slurm.submit has more options), or only print the runs."""
    only: tuple[str, ...] = ()
    """Names of runs to do, as printed by --launcher dry-run (no report is made then). Default: all."""
    out: Path = Path("runs")
    """Root of all run folders."""
    data: Path | None = None
    """Root of the data sets (CelebAMask-HQ/, ffhq/). Default: rendered data for mini and smoke, data/ for paper."""
    seeds: int = 1
    """Training seeds; with more than one the intervals cover them."""
    workers: int = 1
    """Processes on this machine that share the work and divide the CPU cores."""
    part: Literal["all", "data", "report"] = "all"
    """all: runs, then the report. data: only render, check and pack the data sets. report: only report what is there."""


def main(table: TableFunction) -> None:
    """Run a table from the command line; a user's mistake ends with one sentence and exit code 1."""
    flags = tyro.cli(TableFlags, description=(sys.modules["__main__"].__doc__ or "").strip() or None)
    try:
        with raising():
            run_table(table, flags)
    except Interrupted as stop:
        _leave(stop.signum)
    except (ValueError, FileNotFoundError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(_file_system_sentence(error, flags.out))
    except KeyboardInterrupt:
        console.print("Stopped. Run the same command again to go on.")
        sys.exit(130)


def _leave(signum: int) -> NoReturn:
    """End after a signal. Near its time limit (SIGUSR1) a job queues itself again; whoever sends SIGTERM has decided."""
    if signum == signal.SIGUSR1 and job_id():
        try:
            console.print(requeue())
        except UserError as error:
            _fail(str(error))
        sys.exit(0)
    console.print(f"Stopped by {signal.Signals(signum).name}. Run the same command again to go on.")
    sys.exit(128 + signum)


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


def run_table(table: TableFunction, flags: TableFlags) -> None:
    """Do every run of the table that is not done yet, then write and print the report; or the part that was asked for."""
    for name in ("seeds", "workers"):
        if getattr(flags, name) < 1:
            raise UserError(f"--{name} is {getattr(flags, name)}; it must be at least 1.")
    tables = [table(flags.profile, seed) for seed in range(flags.seeds)]
    runs = _chosen(plan(tables), flags.only)
    if flags.launcher == "dry-run":
        for run in runs:
            after = ", ".join(n.name for n in run.needs) or "-"
            print(f"{'train' if isinstance(run, TrainRun) else 'sample':7s}{run.name:36s} after {after}")
        return
    if flags.launcher == "slurm":
        _submit(flags)
        return
    from experiments.core.workspace import Workspace, prepare_data  # heavy imports: not for --help and dry runs
    from experiments.engine.work import Work, is_joint
    from experiments.engine.workers import helpers
    from experiments.figures import reporting

    if flags.workers > 1 and is_joint(runs):
        raise UserError(f"--workers {flags.workers} divides CPU cores, but these runs take several GPUs; leave it out.")
    workspace = Workspace.make(flags.profile, flags.out, flags.data)
    if flags.part != "report":
        prepare_data(workspace, runs)
    papers = [table("paper", seed) for seed in range(flags.seeds)]
    if flags.part != "report":  # which announces by itself
        reporting.announce(workspace, tables, papers, _command(flags))
    if flags.part == "all":
        words = ["-m", _module(), *_words(replace(flags, only=tuple(run.name for run in runs)))]  # all, but no report
        with helpers(flags.workers, words, workspace.runs / "workers"):
            Work(workspace, runs, tables).do_all()
    if flags.part == "report" or (flags.part == "all" and not flags.only):
        reporting.report(workspace, tables, papers, _command(flags))


def _submit(flags: TableFlags) -> None:
    """Hand over to ``slurm.submit``, which may import this package but not the other way round."""
    if flags.part != "all":
        raise UserError(f"--part {flags.part} is done here, not submitted; leave out --launcher slurm.")
    if flags.workers > 1:
        raise UserError(
            f"--workers {flags.workers} is for this machine; on a cluster set sampling_jobs (docs/cluster.md)."
        )
    words = [sys.executable, "-m", "slurm.submit", _module().removeprefix("experiments."), *_words(flags)]
    code = subprocess.run(words, check=False).returncode
    if code:
        sys.exit(code)


def _words(flags: TableFlags) -> list[str]:
    """What chooses the runs, as words of a command line."""
    words = ["--profile", flags.profile, "--out", str(flags.out), "--seeds", str(flags.seeds)]
    words += ["--data", str(flags.data)] if flags.data else []
    return words + (["--only", *flags.only] if flags.only else [])


def _chosen(runs: list[Run], only: tuple[str, ...]) -> list[Run]:
    unknown = sorted(set(only) - {r.name for r in runs})
    if unknown:
        raise UserError(f"--only {' '.join(unknown)}: no such run; this table has {', '.join(r.name for r in runs)}.")
    return [r for r in runs if not only or r.name in only]


def _command(flags: TableFlags) -> str:
    parts = [f"python -m {_module()}", f"--profile {flags.profile}"]
    return " ".join(parts + ([f"--seeds {flags.seeds}"] if flags.seeds > 1 else []))


def _module() -> str:
    """Name of the module that was started with ``python -m``."""
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else "experiments"
