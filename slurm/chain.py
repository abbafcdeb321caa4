"""Submission of the jobs of an order. A job is known by its run: whichever table or interpreter asked for it counts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.core.cluster import Cluster
from experiments.core.results import has_results
from experiments.core.run_config import require_same_settings
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.links import require_own
from lightning_mmdiff.runtime.run_folder import RunFolder
from slurm import records, scheduler
from slurm.jobs import Job, describe, jobs
from slurm.order import Order, job_name
from slurm.records import Record
from slurm.script import render, time_limit


class FullQueueError(Exception):
    """No more jobs may be in the queue at once."""


@dataclass
class Limits:
    """What one call of ``slurm.submit`` may still queue, over all its orders."""

    max_jobs: int
    """Largest number of the user's jobs in the queue, each task of an array for itself."""
    tried: set[str] = field(default_factory=set)
    """Labels of the jobs that this call has queued: one that has left the queue without a result failed."""


def submit(order: Order, cluster: Cluster, *, dry_run: bool = False, limits: Limits | None = None) -> Iterator[str]:
    """Write the scripts of an order and queue those that are neither done nor queued; yield one line per job when it is.

    Args:
        order: what to submit.
        cluster: settings of the cluster.
        dry_run: whether to only write the scripts.
        limits: None is no limit.

    Raises:
        FullQueueError: when ``limits`` leave no room for the next job.
        UserError: if a link leads out of a folder, a folder was made with other settings, or later, if SLURM refuses a job.
    """
    require_own(order.runs)
    found = jobs(order, cluster)
    for job in found:
        if job.run:
            require_same_settings(order.runs / job.run.name, job.run)
    chain = Chain(order, cluster, [] if dry_run else scheduler.queue(), dry_run=dry_run, limits=limits)
    if not dry_run:
        order.keep([job.label for job in found])
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
        queue: jobs in the queue.
        dry_run: whether to only write the scripts.
        limits: None is no limit.
    """

    def __init__(
        self, order: Order, cluster: Cluster, queue: list[scheduler.Queued], *, dry_run: bool,
        limits: Limits | None = None,
    ):  # fmt: skip
        self.order, self.cluster, self.queue, self.dry_run, self.limits = order, cluster, queue, dry_run, limits
        self.failed: set[str] = set()
        """Labels of the jobs that failed in this call, and of those that need them."""
        self.count = len(queue)
        self.tables = order.tables()
        self.records = {(record.label, record.number): record for record in records.read(order.folder)}
        self.open: dict[str, list[str]] = {}
        """Label -> numbers of its jobs in the queue."""
        self.fresh = False

    def add(self, job: Job) -> str:
        """Submit a job unless it is done or in the queue; return a line that says which."""
        if job.run and has_results(RunFolder(self.order.runs / job.run.name), job.run, self.tables):
            return f"done      {job.label}"
        alive = self._alive(job.label)
        enough = [number for number in alive if set(job.covers) <= self._covered(number, job)]
        if job.kind == "report" and (self.fresh or not enough):
            enough, alive = [], self._without_replaced(alive, job)
        self.open[job.label] = alive
        if enough:
            return f"queued    {job.label}  job {enough[-1]}"
        if (why := self._ended(job)) is not None:
            return why
        path = self.order.folder / f"{job.label}.sbatch"
        with atomic_path(path) as temporary:
            temporary.write_text(render(job, self.order, self.cluster), encoding="utf-8")
        if self.dry_run:
            return f"written   {path}  {time_limit(job.minutes)}  {describe(job)}"
        self._take_room(job)
        number = scheduler.submit(path, dependency(job, self.open))
        self.open[job.label] = [*alive, number]
        self.fresh = True
        record = Record(
            label=job.label, kind=job.kind, number=number, tasks=job.workers, covers=job.covers, needs=job.needs
        )
        records.keep(self.order.folder, record, alive)
        return f"submitted {job.label}  job {number}"

    def _ended(self, job: Job) -> str | None:
        """Return a line about a job that this call has queued before, and that is out of the queue, or that needs such a one."""
        if self.limits is None:
            return None
        broken = [need for need in job.needs if need in self.failed]
        if job.label in self.limits.tried and job.run is None:
            return f"ended     {job.label}"
        if job.label in self.limits.tried or (broken and job.kind != "report"):
            self.failed.add(job.label)
            return f"stopped   {job.label}, since {broken[0]} is" if broken else f"failed    {job.label}"
        return None

    def _take_room(self, job: Job) -> None:
        """Count the tasks of a job that is about to be queued."""
        if self.limits is None:
            return
        if self.count and self.count + job.workers > self.limits.max_jobs:
            raise FullQueueError
        self.count += job.workers
        self.limits.tried.add(job.label)

    def _alive(self, label: str) -> list[str]:
        """Return the numbers of a label's jobs in the queue, by their name there: also those without a record."""
        name = job_name(self.order.runs, label)
        return list(dict.fromkeys(queued.number for queued in self.queue if queued.name == name))

    def _covered(self, number: str, job: Job) -> set[str]:
        """Return what the job ``number`` of the same label does beside its run; nothing if it has no record."""
        record = self.records.get((job.label, number))
        return set(record.covers) if record else set()

    def _without_replaced(self, alive: list[str], report: Job) -> list[str]:
        """Cancel earlier reports of no more than ``report``, which do not wait for the jobs of this call; return the others."""
        replaced = [number for number in alive if self._covered(number, report) <= set(report.covers)]
        scheduler.cancel(replaced)
        return [number for number in alive if number not in replaced]


def dependency(job: Job, submitted: Mapping[str, Sequence[str]]) -> str:
    """Return the dependencies of ``job``: success of the jobs it needs (end, for the report), an earlier job of its name.

    A needed job that is not in ``submitted``, which has the numbers of each label, is done.
    """
    after = "afterany" if job.kind == "report" else "afterok"
    return ",".join([*(f"{after}:{number}" for need in job.needs for number in submitted.get(need, ())), "singleton"])
