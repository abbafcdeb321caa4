"""Submit a table to SLURM: one readable job per run, each after those it needs, the report last.

python -m slurm.submit table1 --profile paper --data /data
python -m slurm.submit table1 --profile paper --dry-run      # write the scripts, submit nothing

Submitting twice is harmless: jobs that are done or queued are left alone.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments import Profile
from experiments.core.cluster import read_cluster
from lightning_mmdiff.runtime.commands import readable_end
from slurm.order import Order


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
    """Number of training seeds."""
    cluster: Path | None = None
    """Cluster file. Default: slurm/cluster.toml if it exists."""
    dry_run: bool = False
    """Write the scripts and print what would be submitted."""


def main(flags: SubmitFlags) -> list[str]:
    """Submit the jobs, print what was done, and return it."""
    from slurm import chain  # heavy imports: not for --help

    order = Order(
        table=flags.table, profile=flags.profile, out=flags.out, data=flags.data, seeds=flags.seeds, only=flags.only
    )
    said = []
    for line in chain.submit(order, read_cluster(flags.cluster), dry_run=flags.dry_run):
        print(line, flush=True)
        said.append(line)
    if not flags.dry_run:
        where = f"--profile {flags.profile} --out {shlex.quote(str(flags.out))}"
        print(f"Follow it with: python -m slurm status {flags.table} {where}")
    return said


if __name__ == "__main__":
    with readable_end("choose a writable --out"):
        main(tyro.cli(SubmitFlags, description=__doc__))
