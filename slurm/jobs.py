"""SLURM jobs from the plan of a table: one per run, an array over seeds or workers, each with its dependencies."""

import hashlib
import importlib
import math
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from experiments import INDEX
from experiments.core.cluster import Cluster
from experiments.core.costs import hours
from experiments.runs import Run, TrainRun
from experiments.spec import Profile, Table, plan
from lightning_mmdiff.errors import UserError

MINUTES = {"data": 240, "report": 60}
"""Time limits of the jobs that are not runs."""
FEWEST_MINUTES = 15
Kind = Literal["data", "train", "sample", "report"]


def jobs_folder(profile: Path) -> Path:
    """Return the folder of the scripts, logs and records of a profile's jobs, given ``<out>/<profile>``."""
    return profile / "slurm"


@dataclass(frozen=True, kw_only=True)
class Order:
    """A user's order: a table with the flags of its command line."""

    table: str
    """A name in the index, or any module with a ``table`` function and a ``main``."""
    profile: Profile = "mini"
    out: Path = Path("runs")
    data: Path | None = None
    seeds: int = 1
    only: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Name of the module after ``python -m``."""
        return f"experiments.{self.table}" if self.table in {e.name for e in INDEX} else self.table

    @property
    def folder(self) -> Path:
        """Folder of the scripts, logs and records of jobs."""
        return jobs_folder(self.out / self.profile)

    def tables(self) -> list[Table]:
        """Return the table once for each seed."""
        try:
            module = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if not f"{self.module}.".startswith(f"{error.name}."):
                raise  # the table exists, but something that it imports does not
            known = ", ".join(e.name for e in INDEX)
            raise UserError(f"No table is called {self.table!r}; there are {known}.") from error
        return [module.table(self.profile, seed) for seed in range(self.seeds)]

    def words(self) -> list[str]:
        """Return the arguments of the local command without ``--only``."""
        flags = ["-m", self.module, "--profile", self.profile, "--out", str(self.out)]
        flags += ["--data", str(self.data)] if self.data else []
        return flags + (["--seeds", str(self.seeds)] if self.seeds > 1 else [])


@dataclass(frozen=True, kw_only=True)
class Job:
    """One script: a run, the seeds of a run, or a part of the table that is not a run."""

    label: str
    """Name of its files."""
    kind: Kind
    runs: tuple[Run, ...] = ()
    """One run, or one for each task of an array over seeds."""
    workers: int = 1
    """Number of array tasks that share the images of one run."""
    needs: tuple["Need", ...] = ()
    command: str
    """Shell line after ``srun``; an array over seeds reads its run from ``$RUN``."""
    nodes: int = 1
    processes: int = 1
    """Number of processes on each node."""
    gpus: int = 0
    """Number of GPUs on each node."""
    minutes: int
    """Time limit."""

    @property
    def tasks(self) -> int:
        """Length of the array; 1 means no array."""
        return max(len(self.runs), self.workers)


@dataclass(frozen=True, kw_only=True)
class Need:
    """Another job that must succeed first."""

    label: str
    task: int | None = None
    """Index of the needed task; None means all tasks."""
    same_task: bool = False
    """Whether each task waits only for the task with its own number."""


def job_name(order: Order, label: str) -> str:
    """Return the name in the queue: always the same for one run folder, from any table, and different for others."""
    folder = (order.out / order.profile / label).resolve()
    return f"{label}.{hashlib.sha256(str(folder).encode()).hexdigest()[:6]}"


def jobs(order: Order, cluster: Cluster) -> list[Job]:
    """Return all jobs of an order, each after those it needs; the report is the last.

    Raises:
        UserError: for runs that the table does not have, or that need more than the cluster has.
    """
    tables = order.tables()
    groups = _groups(tables)
    names = {run.name for group in groups for run in group}
    unknown = sorted(set(order.only) - names)
    if unknown:
        raise UserError(f"--only {' '.join(unknown)}: no such run; this table has {', '.join(sorted(names))}.")
    evaluators = {evaluator for table in tables for evaluator in table.evaluators}
    python = cluster.python or sys.executable
    command = f"{cluster.container} {shlex.join([python, *order.words()])}".strip()
    found = [
        Job(
            label=f"{tables[0].name}-data", kind="data", command=f"{command} --part data",
            minutes=_minutes(MINUTES["data"] / 60, cluster),
        )
    ]  # fmt: skip
    for group in groups:
        workers = 1 if isinstance(group[0], TrainRun) else cluster.sampling_jobs
        parts = [(run,) for run in group] if workers > 1 else [group]
        found += [_job(part, workers, groups, evaluators, order, cluster, command, found[0].label) for part in parts]
    if order.only:
        found = [j for j in found if j.kind == "data" or {r.name for r in j.runs} & set(order.only)]
        kept = {j.label for j in found}
        return [replace(j, needs=tuple(n for n in j.needs if n.label in kept)) for j in found]
    report = Job(
        label=f"{tables[0].name}-report", kind="report", command=f"{command} --part report",
        needs=tuple(Need(label=j.label) for j in found), minutes=_minutes(MINUTES["report"] / 60, cluster),
    )  # fmt: skip
    return [*found, report]


def _groups(tables: list[Table]) -> list[tuple[Run, ...]]:
    """Group runs that differ only in their seed, in the order of the plan; runs without a seed stand alone."""
    plans = [plan([table]) for table in tables]
    assert len({len(p) for p in plans}) == 1, "a table has the same runs for every seed"
    return list(dict.fromkeys(tuple(dict.fromkeys(runs)) for runs in zip(*plans)))


def _job(
    part: tuple[Run, ...], workers: int, groups: list[tuple[Run, ...]], evaluators: set[TrainRun], order: Order,
    cluster: Cluster, command: str, data: str,
) -> Job:  # fmt: skip
    first = part[0]
    training = isinstance(first, TrainRun)
    before = [*first.needs, *(() if training else sorted(evaluators, key=lambda evaluator: evaluator.name))]
    needs = [Need(label=data), *(_need(run, part, groups) for run in dict.fromkeys(before))]
    gpus = (first.trainer.devices if isinstance(first, TrainRun) else 1) if order.profile == "paper" else 0
    nodes = first.trainer.num_nodes if isinstance(first, TrainRun) else 1
    if gpus > cluster.gpus_per_node or nodes > cluster.nodes:
        raise UserError(
            f"{first.name} needs {nodes} node(s) with {gpus} GPU(s) each; the cluster file grants {cluster.nodes} with "
            f"{cluster.gpus_per_node} (nodes, gpus_per_node)."
        )
    only = "$RUN" if len(part) > 1 else shlex.quote(first.name)
    return Job(
        label=first.name, kind="train" if training else "sample", runs=part, workers=workers,
        needs=tuple(dict.fromkeys(needs)), command=f"{command} --only {only}", nodes=nodes,
        processes=first.trainer.devices if isinstance(first, TrainRun) else 1, gpus=gpus,
        minutes=_minutes(hours(first, order.profile, speed=cluster.gpu_speed) / workers, cluster),
    )  # fmt: skip


def _need(run: Run, part: tuple[Run, ...], groups: list[tuple[Run, ...]]) -> Need:
    """Return how ``part`` waits for ``run``, which its first run needs."""
    group = next(g for g in groups if run in g)
    if len(group) == 1:
        return Need(label=run.name)
    if len(part) > 1:
        return Need(label=group[0].name, same_task=True)
    return Need(label=group[0].name, task=group.index(run))


def _minutes(wanted: float, cluster: Cluster) -> int:
    """Return the time limit, in minutes, for this many hours of work."""
    return max(1, math.floor(60 * min(cluster.max_hours, max(wanted, FEWEST_MINUTES / 60))))


def describe(job: Job) -> str:
    """Return a one-line description of a job."""
    what = {"data": "check and pack the data", "report": "report", "train": "train", "sample": "sample and score"}[
        job.kind
    ]
    names = ", ".join(run.name for run in job.runs)
    return f"{what} {names}".strip() + (f", shared by {job.workers} jobs" if job.workers > 1 else "")
