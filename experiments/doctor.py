"""Check that everything a table needs is present, before any job waits in a queue.

python -m experiments.doctor table1 --profile paper --data /data --cluster slurm/cluster.toml

Checks data sets, weight files with their checksums, free space, GPUs, memory and hours; exit code 1 if anything is missing.
"""

import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from experiments import find_table
from experiments.core import costs
from experiments.core.cluster import DEFAULT_PATH, Cluster, read_cluster
from experiments.core.space import stored_bytes
from experiments.core.workspace import Workspace
from experiments.engine.cli import tables_of
from experiments.engine.findings import Finding, State, data_findings, unreadable
from experiments.engine.variants import Variant
from experiments.protocols.needed_weights import needed_weights
from experiments.runs import Run, TrainRun
from experiments.spec import Profile, Table, plan
from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.durations import duration
from lightning_mmdiff.runtime.run_folder import RunFolder

COLORS = {"ok": "green", "note": "yellow", "missing": "bold red"}


@dataclass(frozen=True, kw_only=True)
class DoctorFlags:
    """Flags of the command, which checks one table."""

    table: Annotated[str, tyro.conf.Positional]
    """Name of a table: table1, ..."""
    profile: Profile = "mini"
    data: Path | None = None
    """Root of the data sets. Default: rendered data for mini and smoke, data/ for paper."""
    out: Path = Path("runs")
    seeds: int = 1
    images: int | None = None
    """At most so many images a row, as in the table's command."""
    longer: int | None = None
    """So many times the training, as in the table's command."""
    cluster: Path | None = None
    """Cluster file. Default: slurm/cluster.toml if it exists; without one, GPUs and hours are listed but not judged."""


def diagnose(tables: Sequence[Table], flags: DoctorFlags) -> list[Finding]:
    """Return one finding for each thing the tables need, present or not."""
    workspace, runs = Workspace.make(flags.profile, flags.out, flags.data), plan(tables)
    findings = [*data_findings(workspace, tables, runs), *_weights(tables, runs), *_packages(tables)]
    try:
        cluster = read_cluster(flags.cluster) if flags.cluster or DEFAULT_PATH.is_file() else None
        findings += _commands(cluster)
    except (OSError, UserError) as error:
        cluster = None
        findings.append(unreadable("cluster", error))
    return [*findings, _space(workspace, runs), *_machine(runs, flags.profile, cluster)]


def _weights(tables: Sequence[Table], runs: Sequence[Run]) -> Iterator[Finding]:
    for weight in needed_weights(tables, runs):
        try:
            yield _one_weight(weight)
        except OSError as error:
            yield unreadable(f"weights {weight.name}", error)


def _one_weight(weight: weights.Weight) -> Finding:
    path, what = weights.find(weight.name), f"weights {weight.name}"
    get = f"python -m experiments.prefetch {weight.name}" if weight.url else f"get it from {weight.source}"
    get += f", or put it into ${weights.ENVIRONMENT_VARIABLE}"
    if path is None:
        place = weights.candidates(weight.name)[0]
        about = f", about {weight.bytes / 1e9:.1f} GB" if weight.bytes else ""
        return Finding(what=what, state="missing", found=f"{place} is not there ({weight.purpose}{about})", remedy=get)
    if problem := weights.damage(weight, path):
        return Finding(what=what, state="missing", found=problem, remedy=f"delete it; {get}")
    checked = "checksum right" if weight.sha256 or weight.members else "no checksum known, not compared"
    size = sum(p.stat().st_size for p in ([path / m.file for m in weight.members] or [path]))
    return Finding(what=what, state="ok", found=f"{path}, {size / 2**20:.1f} MiB, {checked}")


def _packages(tables: Sequence[Table]) -> Iterator[Finding]:
    """Check the optional Python packages that the metrics use."""
    if "face_parser" in {weight.name for weight in needed_weights(tables, ())}:  # pyfacer runs it
        there = importlib.util.find_spec("facer") is not None
        found = "installed" if there else "not installed (mIoU and F1 of parsed faces)"
        remedy = "" if there else "pip install pyfacer==0.0.5"
        yield Finding(what="package pyfacer", state="ok" if there else "missing", found=found, remedy=remedy)


def _space(workspace: Workspace, runs: Sequence[Run]) -> Finding:
    """Compare the bytes still to be written below --out with the free space there."""
    folders = {run: RunFolder(workspace.runs / run.name) for run in runs}
    need = stored_bytes([run for run, folder in folders.items() if not (folder.is_trained or folder.is_scored)])
    place = next(p for p in (workspace.runs.resolve(), *workspace.runs.resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:.1f} GiB free in {place}, about {need / 2**30:.1f} GiB to be written"
    if not os.access(place, os.W_OK):
        return Finding(what="space", state="missing", found=f"{place} is not writable", remedy="choose another --out")
    state: State = "ok" if free > need else "missing"
    return Finding(
        what="space", state=state, found=found, remedy="" if state == "ok" else "free some, or another --out"
    )


def _machine(runs: Sequence[Run], profile: Profile, cluster: Cluster | None) -> Iterator[Finding]:
    """Say how many network calls there are; compare the most demanding runs with the cluster file's limits."""
    if not runs:
        yield Finding(what="runs", state="note", found=f"no row of this table can be made at {profile}")
        return
    speed = cluster.gpu_speed if cluster else 1.0
    hours = {run.name: costs.hours(run, profile, speed=speed) for run in runs}
    longest = max(hours, key=lambda name: hours[name])
    in_order = costs.in_order(runs)
    total = sum(costs.hours(run, profile, speed=speed, cost=in_order[run]) * costs.processes(run) for run in runs)
    whole, of = duration(3600 * total), ""
    if costs.on_gpus(profile):
        whole, of = f"{total:,.1f} GPU hours", f" of {speed:g} times an A100's speed"
    found = f"about {sum(map(costs.calls, runs)):,} network calls and {whole} in all{of}; "
    found += f"longest {longest}: {duration(3600 * hours[longest])} (estimated, with a margin)"
    if cluster and hours[longest] > cluster.max_hours:
        more = f"jobs end after {cluster.max_hours:g} h, are queued again and go on by themselves"
        yield Finding(what="hours", state="note", found=found, remedy=more)
    else:
        yield Finding(what="hours", state="ok", found=found)
    if not costs.on_gpus(profile):
        return
    yield _memory(runs, cluster)
    trainings = [run for run in runs if isinstance(run, TrainRun)]
    gpus = max((run.trainer.devices for run in trainings), default=1)
    nodes = max((run.trainer.num_nodes for run in trainings), default=1)
    found = f"{nodes} node(s) with {gpus} GPU(s) each"
    enough = cluster is None or (gpus <= cluster.gpus_per_node and nodes <= cluster.nodes)
    remedy = (
        "" if cluster is None or enough else f"the cluster file grants {cluster.nodes} with {cluster.gpus_per_node}"
    )
    yield Finding(what="GPUs", state="ok" if enough else "missing", found=found, remedy=remedy)


def _memory(runs: Sequence[Run], cluster: Cluster | None) -> Finding:
    needs = {run.name: need for run in runs if (need := costs.gpu_memory_gib(run)) is not None}
    unknown = [run.name for run in runs if run.name not in needs]
    if not needs:
        return Finding(what="GPU memory", state="note", found="cannot be estimated before the weights are there")
    most = max(needs, key=lambda name: needs[name])
    found = f"about {needs[most]:.0f} GiB for {most}" + (f"; unknown for {', '.join(unknown)}" if unknown else "")
    if cluster and needs[most] > cluster.gpu_memory_gib:
        remedy = f"the cluster file says {cluster.gpu_memory_gib:g} GiB a GPU: use larger ones, or more devices"
        return Finding(what="GPU memory", state="missing", found=found, remedy=remedy)
    return Finding(what="GPU memory", state="ok", found=found)


def _commands(cluster: Cluster | None) -> Iterator[Finding]:
    """Check the commands that submit jobs, if there is a cluster file."""
    if cluster is None:
        remedy = "to submit jobs: copy slurm/cluster.example.toml there and fill it in"
        yield Finding(what="cluster", state="note", found=f"no {DEFAULT_PATH}", remedy=remedy)
        return
    absent = [name for name in ("sbatch", "srun", "scontrol", "squeue") if shutil.which(name) is None]
    state: State = "missing" if absent else "ok"
    found = f"{', '.join(absent)} not found" if absent else "sbatch, srun, scontrol, squeue found"
    yield Finding(what="cluster", state=state, found=found, remedy="log in to a node of the cluster" if absent else "")


def main(flags: DoctorFlags) -> int:
    """Print the diagnosis and return the exit code."""
    module = importlib.import_module(f"experiments.{find_table(flags.table).name}")
    variant = Variant(images=flags.images, longer=flags.longer)
    findings = diagnose(tables_of(module.table, flags.profile, flags.seeds, variant), flags)
    grid = Grid("what", "", "found", "what to do", title=f"{flags.table} at {flags.profile}", show_lines=True)
    for f in findings:
        grid.add_row(f.what, Text(f.state, style=COLORS[f.state]), Text(f.found), Text(f.remedy))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 180)
    console.print(grid)
    missing = [f.what for f in findings if f.state == "missing"]
    console.print(f"{len(missing)} missing: {', '.join(missing)}" if missing else "Everything is there.")
    return 1 if missing else 0


if __name__ == "__main__":
    with readable_end():
        sys.exit(main(tyro.cli(DoctorFlags, prog="python -m experiments.doctor", description=__doc__)))
