"""Submit and manage jobs: ``python -m slurm {submit,status,logs,cancel,resubmit}``; ``python -m slurm.submit`` is the first."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from experiments import Profile
from experiments.core.cluster import read_cluster
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.commands import readable_end
from slurm import scheduler
from slurm.logs import logs as logs_of
from slurm.order import jobs_folder, read_order
from slurm.status import survey_jobs
from slurm.submit import SubmitFlags
from slurm.submit import main as order_jobs
from slurm.submitted import labels_of, needed_elsewhere, submitted

COLORS = {
    "running": "cyan", "waiting": "", "done": "green", "failed": "bold red", "stopped": "red", "not submitted": "yellow"
}  # fmt: skip
Names = Annotated[tuple[str, ...], tyro.conf.Positional]


def status(names: Names = (), profile: Profile = "mini", out: Path = Path("runs")) -> None:
    """Show which runs are running, waiting, done or failed, and why.

    Args:
        names: names of tables, runs or jobs; none means all of this profile.
        profile: profile of the runs.
        out: root of all run folders.
    """
    lines = survey_jobs(out / profile, names)
    if not lines:
        raise UserError(
            f"{jobs_folder(out / profile)}: nothing was submitted from here; see python -m slurm.submit --help."
        )
    grid = Grid("job", "run", "state", "", box=None)
    for line in lines:
        grid.add_row(line.job, line.name, Text(line.state, style=COLORS[line.state]), Text(line.detail))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(grid)
    states = [line.state for line in lines]
    console.print(", ".join(f"{states.count(s)} {s}" for s in COLORS if s in states))
    if "failed" in states:
        console.print(f"Look into it with python -m slurm logs NAME --profile {profile}.")
    if {"failed", "stopped", "not submitted"} & set(states):
        console.print(f"Go on with python -m slurm resubmit TABLE --profile {profile}.")


def logs(
    name: Annotated[str, tyro.conf.Positional],
    profile: Profile = "mini",
    out: Path = Path("runs"),
    lines: int = 40,
    follow: bool = False,
) -> None:
    """Show the end of a log.

    Args:
        name: name of a run, of a job as shown by status, or of a table.
        profile: profile of the run.
        out: root of all run folders.
        lines: number of lines.
        follow: keep printing as the log grows, until Ctrl-C.
    """
    found, folder = submitted(out / profile), jobs_folder(out / profile)
    labels = labels_of((name,), out / profile, found)
    each = [[logs_of(folder, label, number) for number in found[label].numbers] for label in labels]
    paths = [
        path for tries in each for path in next(filter(None, reversed(tries)), [])
    ]  # of each the newest that started
    if not paths:
        raise UserError(f"{name} has no log yet: no job of it started (python -m slurm status says why).")
    command = ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), *map(str, paths)]
    try:
        subprocess.run(command, check=False)
    except KeyboardInterrupt:
        return


def cancel(names: Names = (), profile: Profile = "mini", out: Path = Path("runs")) -> None:
    """Remove jobs from the queue and stop running ones; what they have saved is kept.

    Args:
        names: names of tables, runs or jobs; none means all of this profile. Of a table, jobs that another table waits
            for are left alone.
        profile: profile of the runs.
        out: root of all run folders.
    """
    found = submitted(out / profile)
    labels, elsewhere = labels_of(names, out / profile, found), {}
    if names:
        elsewhere = needed_elsewhere(names, out / profile, found)
    numbers = sorted({q.number for x in labels if x not in elsewhere for q in found[x].queued}, key=int)
    scheduler.cancel(reversed(numbers))  # first those that wait for others
    print(
        f"Cancelled {len(numbers)} job{'' if len(numbers) == 1 else 's'}{': ' if numbers else '.'}{' '.join(numbers)}"
    )
    for label in labels:
        if label in elsewhere and found[label].queued:
            print(f"Left alone: {label}, for which {elsewhere[label]} waits")


def resubmit(
    table: Annotated[str, tyro.conf.Positional],
    profile: Profile = "mini",
    out: Path = Path("runs"),
    cluster: Path | None = None,
) -> None:
    """Submit a table again as it was last submitted, except for jobs that are done or queued.

    Args:
        table: name of the table, as given to slurm.submit.
        profile: profile of the runs.
        out: root of all run folders.
        cluster: cluster file. Default: slurm/cluster.toml if it exists.
    """
    order = read_order(table, profile, out)
    from slurm import chain  # heavy imports: not for the other commands

    for line in chain.submit(order, read_cluster(cluster)):
        print(line, flush=True)


def submit(flags: Annotated[SubmitFlags, tyro.conf.arg(name="")]) -> None:
    """Submit the unfinished runs of a table, or of all tables."""
    order_jobs(flags)


COMMANDS: dict[str, Any] = {"submit": submit, "status": status, "logs": logs, "cancel": cancel, "resubmit": resubmit}

if __name__ == "__main__":
    with readable_end("choose a writable --out"):
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="python -m slurm", description=__doc__)
