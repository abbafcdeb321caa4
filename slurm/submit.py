"""Submit a table to SLURM: one readable job per run, each after those it needs, the report last.

python -m slurm.submit table1 --profile paper --data /data
python -m slurm.submit table1 --profile paper --dry-run      # write the scripts, submit nothing

Submitting twice is harmless: jobs that are done or queued are left alone.
"""

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.core.cluster import Cluster, read_cluster
from experiments.core.results import has_results
from experiments.core.run_config import require_same_settings
from experiments.spec import Profile
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.run_folder import RunFolder
from slurm import records, scheduler
from slurm.jobs import Job, Order, describe, jobs
from slurm.records import Record
from slurm.script import render, time_limit


@dataclass(frozen=True, kw_only=True)
class SubmitFlags:
    """Flags to submit the unfinished runs of one table, and the report."""

    table: Annotated[str, tyro.conf.Positional]
    """Name of a table, such as table1."""
    profile: Profile = "mini"
    only: tuple[str, ...] = ()
    """Names of runs (without a report then). Default: all."""
    out: Path = Path("runs")
    data: Path | None = None
    seeds: int = 1
    """Number of training seeds; the seeds of a run form one array."""
    cluster: Path | None = None
    """Cluster file. Default: slurm/cluster.toml if it exists."""
    dry_run: bool = False
    """Write the scripts and print what would be submitted."""


def submit(order: Order, cluster: Cluster, *, dry_run: bool = False) -> Iterator[str]:
    """Write the scripts of an order and queue those that are neither done nor queued; yield one line per job when it is.

    Raises:
        UserError: if a folder was made with other settings, or later, if SLURM refuses a job.
    """
    found = jobs(order, cluster)
    for job in found:
        for run in job.runs:
            require_same_settings(order.out / order.profile / run.name, run)
    chain = Chain(order, cluster, {} if dry_run else scheduler.queue(), dry_run=dry_run)
    return _in_order(chain, found)


def _in_order(chain: "Chain", found: list[Job]) -> Iterator[str]:
    for number, job in enumerate(found):
        try:
            yield chain.add(job)
        except UserError as error:
            raise UserError(
                f"{str(error).rstrip('.')}. The {number} jobs above stay as they are; submit again to go on with the rest, "
                "or take them back with python -m slurm cancel."
            ) from error


class Chain:
    """Submission of the jobs of one order, each after those it needs.

    Args:
        order: what to submit.
        cluster: settings of the cluster.
        alive: jobs in the queue, by number.
        dry_run: whether to only write the scripts.
    """

    def __init__(self, order: Order, cluster: Cluster, alive: dict[str, scheduler.Queued], *, dry_run: bool):
        self.order, self.cluster, self.alive, self.dry_run = order, cluster, alive, dry_run
        self.tables = order.tables()
        self.before = records.read(order.folder)
        self.open: dict[str, Record] = {}
        self.fresh = False

    def add(self, job: Job) -> str:
        """Submit a job unless it is done or in the queue; return a line that says which."""
        folder = self.order.out / self.order.profile
        if job.runs and all(has_results(RunFolder(folder / run.name), run, self.tables) for run in job.runs):
            return f"done      {job.label}"
        queued = self._queued(job)
        if queued and job.kind == "report" and self.fresh:
            scheduler.cancel([queued.number])  # it does not wait for the jobs of this call
        elif queued:
            self.open[job.label] = queued
            return f"queued    {job.label}  job {queued.number}"
        path = self.order.folder / f"{job.label}.sbatch"
        with atomic_path(path) as temporary:
            temporary.write_text(render(job, self.order, self.cluster), encoding="utf-8")
        if self.dry_run:
            return f"written   {path}  {time_limit(job.minutes)}  {describe(job)}"
        number = scheduler.submit(path, dependency(job, self.open))
        self.open[job.label] = records.keep(self.order.folder, job, number)
        self.fresh = True
        return f"submitted {job.label}  job {number}"

    def _queued(self, job: Job) -> Record | None:
        """Return the record of an earlier submission of exactly this job that is still queued or running as a whole."""
        record = self.before.get(job.label)
        if record is None or (record.command, record.tasks) != (job.command, job.tasks):
            return None
        return record if all(number in self.alive for number in record.numbers()) else None


def dependency(job: Job, submitted: dict[str, Record]) -> str:
    """Return the dependencies of ``job``: success of the jobs it needs (end, for the report), an earlier job of its name.

    A needed job that is not in ``submitted`` is done.
    """
    words = []
    for need in job.needs:
        if need.label not in submitted:
            continue
        number = submitted[need.label].number
        if job.kind == "report":
            words.append(f"afterany:{number}")
        elif need.same_task:
            words.append(f"aftercorr:{number}")
        else:
            words.append(f"afterok:{number}" + (f"_{need.task}" if need.task is not None else ""))
    return ",".join([*words, "singleton"])


def main(flags: SubmitFlags) -> list[str]:
    """Submit the jobs, print what was done, and return it."""
    order = Order(
        table=flags.table, profile=flags.profile, out=flags.out, data=flags.data, seeds=flags.seeds, only=flags.only
    )
    lines, said = submit(order, read_cluster(flags.cluster), dry_run=flags.dry_run), []
    if not flags.dry_run:
        records.keep_order(order, flags.cluster)
    for line in lines:
        print(line, flush=True)
        said.append(line)
    if not flags.dry_run:
        print(f"Follow it with: python -m slurm status --profile {flags.profile} --out {shlex.quote(str(flags.out))}")
    return said


if __name__ == "__main__":
    try:
        main(tyro.cli(SubmitFlags, description=__doc__))
    except (OSError, UserError) as error:
        sys.exit(f"error: {error}")
