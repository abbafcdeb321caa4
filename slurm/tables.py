"""Submission of many tables through a queue that takes a limited number of jobs."""

import time
from collections.abc import Generator, Iterator, Sequence

from experiments.core.cluster import Cluster
from experiments.core.results import has_results
from experiments.spec import plan
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports.table_folder import TableFolder
from slurm.chain import FullQueueError, Limits, submit
from slurm.jobs import jobs
from slurm.order import Order

MINUTE = 60.0


def submit_all(
    orders: Sequence[Order], cluster: Cluster, limits: Limits, *, stay: bool, poll: float = MINUTE
) -> Iterator[str]:
    """Submit the orders one after the other, each job once, whichever tables need it; yield the lines of new jobs.

    Args:
        orders: one for each table.
        cluster: settings of the cluster.
        limits: jobs in the queue at once.
        stay: whether to wait for room and go on until everything is queued.
        poll: seconds between two looks at the queue.

    Raises:
        UserError: if SLURM refuses a job, or the only table asks for what the cluster lacks.
    """
    orders = yield from possible(orders, cluster)
    said: set[str] = set()
    while (left := (yield from _once(orders, cluster, limits, said))) and stay:
        time.sleep(poll)
    if left:
        yield f"The queue has its {limits.max_jobs} jobs; {left} of {len(orders)} tables are not queued as a whole yet."


def possible(orders: Sequence[Order], cluster: Cluster) -> Generator[str, None, list[Order]]:
    """Return the orders that the cluster has the nodes and GPUs for; yield a line about each of the others."""
    found = []
    for order in orders:
        try:
            jobs(order, cluster)
        except UserError as error:
            if len(orders) == 1:
                raise
            yield f"left out  {order.table}: {error}"
        else:
            found.append(order)
    return found


def written(orders: Sequence[Order], cluster: Cluster) -> Iterator[str]:
    """Write the scripts of all orders, each once; yield a line for each."""
    orders = yield from possible(orders, cluster)
    yield from dict.fromkeys(line for order in orders for line in submit(order, cluster, dry_run=True))


def _once(orders: Sequence[Order], cluster: Cluster, limits: Limits, said: set[str]) -> Generator[str, None, int]:
    """Queue what there is room for; yield each line once and return the number of tables that are left."""
    for number, order in enumerate(orders):
        if is_finished(order):
            line = f"done      {order.table}"
            if line not in said:
                said.add(line)
                yield line
            continue
        try:
            for line in submit(order, cluster, limits=limits):
                if line not in said:
                    said.add(line)
                    yield line
        except FullQueueError:
            return len(orders) - number
    return 0


def is_finished(order: Order) -> bool:
    """Return whether every run of a table has its results and the report is written."""
    tables = order.tables()
    folders = ((run, RunFolder(order.runs / run.name)) for run in plan(tables))
    return TableFolder.of(order.runs, tables[0].name).metrics.is_file() and all(
        has_results(folder, run, tables) for run, folder in folders
    )
