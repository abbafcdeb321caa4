"""Submit a table to SLURM: one readable job per run, each after those it needs, the report last.

python -m slurm.submit table1 --profile paper --data /data
python -m slurm.submit table1 --profile paper --dry-run      # write the scripts, submit nothing
python -m slurm.submit all --profile paper --max-jobs 40     # all tables, 40 jobs in the queue at once

Submitting twice is harmless: jobs that are done or queued are left alone.
"""

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments import INDEX, Profile
from experiments.core.cluster import read_cluster
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.commands import readable_end
from slurm.order import Order

ALL = "all"
"""What stands for every table of the index."""


@dataclass(frozen=True, kw_only=True)
class SubmitFlags:
    """Flags to submit the unfinished runs of one table, and the report."""

    table: Annotated[str, tyro.conf.Positional]
    """Name of a table, such as table1, or "all"."""
    profile: Profile = "mini"
    only: tuple[str, ...] = ()
    """Names of runs (without a report then). Default: all."""
    out: Path = Path("runs")
    data: Path | None = None
    seeds: int = 1
    """Number of training seeds."""
    cluster: Path | None = None
    """Cluster file. Default: slurm/cluster.toml if it exists."""
    dry_run: bool = False
    """Write the scripts and print what would be submitted."""
    max_jobs: int | None = None
    """Most of your jobs in the queue at once; the rest is left for the next call. Default: no limit."""
    stay: bool = False
    """With --max-jobs: wait for room in the queue, and go on until everything is queued."""


def main(flags: SubmitFlags) -> list[str]:
    """Submit the jobs, print what was done, and return it."""
    lines = _many(flags) if flags.table == ALL or flags.max_jobs else _one(flags)
    said = []
    for line in lines:
        print(line, flush=True)
        said.append(line)
    if not flags.dry_run:
        where = f"--profile {flags.profile} --out {shlex.quote(str(flags.out))}"
        print(f"Follow it with: python -m slurm status {'' if flags.table == ALL else f'{flags.table} '}{where}")
    return said


def _order(flags: SubmitFlags, table: str) -> Order:
    return Order(table=table, profile=flags.profile, out=flags.out, data=flags.data, seeds=flags.seeds, only=flags.only)


def _one(flags: SubmitFlags) -> Iterator[str]:
    from slurm import chain  # heavy imports: not for --help

    return chain.submit(_order(flags, flags.table), read_cluster(flags.cluster), dry_run=flags.dry_run)


def _many(flags: SubmitFlags) -> Iterator[str]:
    from slurm import chain, tables

    names = [entry.name for entry in INDEX] if flags.table == ALL else [flags.table]
    if flags.only and flags.table == ALL:
        raise UserError("--only names runs of one table; name the table instead of all.")
    if flags.max_jobs is not None and flags.max_jobs < 1:
        raise UserError(f"--max-jobs is {flags.max_jobs}; it must be at least 1.")
    orders, cluster = [_order(flags, name) for name in names], read_cluster(flags.cluster)
    if flags.dry_run:
        return tables.written(orders, cluster)
    return tables.submit_all(orders, cluster, chain.Limits(flags.max_jobs or sys.maxsize), stay=flags.stay)


if __name__ == "__main__":
    with readable_end("choose a writable --out"):
        main(tyro.cli(SubmitFlags, prog="python -m slurm.submit", description=__doc__))
