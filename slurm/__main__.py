"""Manage submitted jobs: ``python -m slurm {status,logs,cancel,resubmit}``; ``python -m slurm.submit`` submits them."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from experiments.core.cluster import read_cluster
from experiments.spec import Profile
from lightning_mmdiff.errors import UserError
from slurm import records, scheduler, submit
from slurm.jobs import jobs_folder
from slurm.status import logs as logs_of
from slurm.status import survey_jobs

COLORS = {"running": "cyan", "waiting": "", "done": "green", "failed": "bold red", "stopped": "red"}


def status(profile: Profile = "mini", out: Path = Path("runs")) -> None:
    """Show which runs are running, waiting, done or failed, and why.

    Args:
        profile: profile of the runs.
        out: root of all run folders.
    """
    lines = survey_jobs(out / profile)
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
        console.print(
            f"Look into it with python -m slurm logs NAME --profile {profile}; go on with python -m slurm resubmit TABLE."
        )


def logs(
    name: Annotated[str, tyro.conf.Positional],
    profile: Profile = "mini",
    out: Path = Path("runs"),
    lines: int = 40,
    follow: bool = False,
) -> None:
    """Show the end of a log.

    Args:
        name: name of a run, or of a job as shown by status.
        profile: profile of the run.
        out: root of all run folders.
        lines: number of lines.
        follow: keep printing as the log grows, until Ctrl-C.
    """
    folder = jobs_folder(out / profile)
    record = _record(folder, name)
    paths = logs_of(folder, record.label, record.numbers(name if name in record.runs else None))
    if not paths:
        raise UserError(f"{name} has no log yet: job {record.number} did not start (python -m slurm status says why).")
    command = ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), *map(str, paths)]
    try:
        subprocess.run(command, check=False)
    except KeyboardInterrupt:
        return


def cancel(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    profile: Profile = "mini",
    out: Path = Path("runs"),
) -> None:
    """Remove jobs from the queue and stop running ones; what they have saved is kept.

    Args:
        names: names of runs or jobs; none means all of this profile.
        profile: profile of the runs.
        out: root of all run folders.
    """
    folder = jobs_folder(out / profile)
    chosen = [_record(folder, name) for name in names] or list(records.read(folder).values())
    alive = scheduler.queue()
    numbers = [n for record in reversed(chosen) for n in record.numbers() if n in alive]
    scheduler.cancel(numbers)
    print(
        f"Cancelled {len(numbers)} job{'' if len(numbers) == 1 else 's'}"
        + (f": {' '.join(numbers)}" if numbers else ".")
    )


def resubmit(table: Annotated[str, tyro.conf.Positional], profile: Profile = "mini", out: Path = Path("runs")) -> None:
    """Submit a table again as it was last submitted, except for jobs that are done or queued.

    Args:
        table: name of the table, as given to slurm.submit.
        profile: profile of the runs.
        out: root of all run folders.
    """
    order, cluster = records.read_order(jobs_folder(out / profile), table)
    for line in submit.submit(order, read_cluster(cluster)):
        print(line, flush=True)


def _record(folder: Path, name: str) -> records.Record:
    found = records.read(folder)
    record = found.get(name) or next((r for r in found.values() if name in r.runs), None)
    if record is None:
        raise UserError(f"{name}: no such job in {folder}; there are {', '.join(found) or 'none'}.")
    return record


if __name__ == "__main__":
    commands: dict[str, Any] = {"status": status, "logs": logs, "cancel": cancel, "resubmit": resubmit}
    try:
        tyro.extras.subcommand_cli_from_dict(commands, description=__doc__)
    except (OSError, UserError) as error:
        sys.exit(f"error: {error}")
