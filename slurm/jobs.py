"""SLURM jobs from the plan of a table: one per run, each with its dependencies, whichever table asks for it."""

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.core.cluster import Cluster
from experiments.core.costs import hours, on_gpus
from experiments.core.results import protocols_of
from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import Table, plan
from lightning_mmdiff.errors import UserError
from slurm.order import Order
from slurm.records import Kind

MINUTES = {"data": 240, "report": 60}
"""Time limits of the jobs that are not runs."""
FEWEST_MINUTES = 15


@dataclass(frozen=True, kw_only=True)
class Job:
    """One script: a run, or a part of the table that is not a run."""

    label: str
    """Name of the run, and of the job's files."""
    kind: Kind
    run: Run | None = None
    workers: int = 1
    """Number of array tasks that share the images of the run; 1 means no array."""
    needs: tuple[str, ...] = ()
    """Labels of the jobs that must succeed first."""
    covers: tuple[str, ...] = ()
    """What it does beside its run: metrics of samples; runs whose data or report a part of a table is."""
    command: str
    """Shell line after ``srun``."""
    nodes: int = 1
    processes: int = 1
    """Number of processes on each node."""
    gpus: int = 0
    """Number of GPUs on each node."""
    minutes: int
    """Time limit."""


def jobs(order: Order, cluster: Cluster) -> list[Job]:
    """Return all jobs of an order, each after those it needs; the report is the last.

    Raises:
        UserError: for runs that the table does not have, or that need more than the cluster has.
    """
    tables = order.tables()
    runs = plan(tables)
    names = {run.name for run in runs}
    unknown = sorted(set(order.only) - names)
    if unknown:
        raise UserError(f"--only {' '.join(unknown)}: no such run; this table has {', '.join(sorted(names))}.")
    command = f"{cluster.container} {shlex.join([cluster.python or sys.executable, *order.words()])}".strip()
    data = Job(
        label=f"{tables[0].name}-data", kind="data", command=f"{command} --part data", covers=tuple(sorted(names)),
        minutes=_minutes(MINUTES["data"] / 60, cluster),
    )  # fmt: skip
    found = [data, *(_job(run, tables, order, cluster, command, data.label) for run in runs)]
    if order.only:
        found = [job for job in found if job.run is None or job.run.name in order.only]
        kept = {job.label for job in found}
        return [replace(job, needs=tuple(need for need in job.needs if need in kept)) for job in found]
    report = Job(
        label=f"{tables[0].name}-report", kind="report", command=f"{command} --part report", covers=tuple(sorted(names)),
        needs=tuple(job.label for job in found), minutes=_minutes(MINUTES["report"] / 60, cluster),
    )  # fmt: skip
    return [*found, report]


def _job(run: Run, tables: Sequence[Table], order: Order, cluster: Cluster, command: str, data: str) -> Job:
    """Return the job of one run.

    Args:
        run: what it does.
        tables: the tables of the order, one for each seed.
        order: where the run belongs.
        cluster: limits of the cluster.
        command: the table's local command.
        data: label of the job that prepares the data.
    """
    evaluators = {evaluator.name for table in tables for evaluator in table.evaluators}
    needs = [data, *(need.name for need in run.needs), *(() if isinstance(run, TrainRun) else sorted(evaluators))]
    gpus = (run.trainer.devices if isinstance(run, TrainRun) else 1) if on_gpus(order.profile) else 0
    nodes = run.trainer.num_nodes if isinstance(run, TrainRun) else 1
    if gpus > cluster.gpus_per_node or nodes > cluster.nodes:
        raise UserError(
            f"{run.name} needs {nodes} node(s) with {gpus} GPU(s) each; the cluster file grants {cluster.nodes} with "
            f"{cluster.gpus_per_node} (nodes, gpus_per_node)."
        )
    workers = cluster.sampling_jobs if isinstance(run, SampleRun) else 1
    return Job(
        label=run.name, kind="sample" if isinstance(run, SampleRun) else "train", run=run, workers=workers,
        needs=tuple(dict.fromkeys(needs)), covers=protocols_of(run, tables) if isinstance(run, SampleRun) else (),
        command=f"{command} --only {shlex.quote(run.name)}", nodes=nodes,
        processes=run.trainer.devices if isinstance(run, TrainRun) else 1, gpus=gpus,
        minutes=_minutes(hours(run, order.profile, speed=cluster.gpu_speed) / workers, cluster),
    )  # fmt: skip


def _minutes(wanted: float, cluster: Cluster) -> int:
    """Return the time limit, in minutes, for this many hours of work."""
    return max(1, math.floor(60 * min(cluster.max_hours, max(wanted, FEWEST_MINUTES / 60))))


def describe(job: Job) -> str:
    """Return a one-line description of a job."""
    what = {"data": "check and pack the data", "report": "report", "train": "train", "sample": "sample and score"}[
        job.kind
    ]
    shared = f", shared by {job.workers} jobs" if job.workers > 1 else ""
    return f"{what} {job.run.name if job.run else ''}".strip() + shared
