"""A job as a script that a person can read, keep, and submit by hand."""

import re
import shlex
from pathlib import Path

from experiments.core.cluster import Cluster
from lightning_mmdiff.errors import UserError
from slurm.jobs import Job, describe
from slurm.logs import closing_line
from slurm.order import Order, job_name


def render(job: Job, order: Order, cluster: Cluster) -> str:
    """Return the text of the script. Submitted by hand, it waits only for an earlier job of the same name."""
    lines = ["#!/bin/bash", f"# {order.table} at {order.profile}: {describe(job)}. Written by python -m slurm.submit."]
    lines += [f"#SBATCH {option}" for option in options(job, order, cluster)]
    lines += ["", "set -e"]
    if cluster.modules:
        lines.append(f"module load {shlex.join(cluster.modules)}")
    lines += cluster.setup
    lines += [
        "export MMDIFF_OFFLINE=1 HF_HUB_OFFLINE=1  # a missing file is an error at once, not a wait for a network",
        f"export OMP_NUM_THREADS={cluster.cpus_per_task} GOMP_SPINCOUNT=2000",
    ]
    lines.append(f"srun --cpus-per-task={cluster.cpus_per_task} --kill-on-bad-exit=1 {job.command}")
    if job.run is None:  # a run that has made its files needs no other sign, and may end to be queued again
        lines.append(f"echo {shlex.quote(closing_line(job.label))}")
    return "\n".join(lines) + "\n"


def options(job: Job, order: Order, cluster: Cluster) -> list[str]:
    """Return the options of sbatch, in the quotes that it reads; those of the cluster file stand as they are there.

    Raises:
        UserError: if no quotes make a path readable for sbatch.
    """
    here, folder = (_readable(path) for path in (Path.cwd(), order.folder.resolve()))
    log = f"{folder.replace('%', '%%')}/{job.label}-{'%A_%a' if job.workers > 1 else '%j'}.log"
    found = [
        _option("job-name", job_name(order.runs, job.label)),
        _option("chdir", here),
        _option("output", log),
        "--open-mode=append",
        f"--nodes={job.nodes}",
        f"--ntasks-per-node={job.processes}",
        f"--cpus-per-task={cluster.cpus_per_task}",
        f"--time={time_limit(job.minutes)}",
        "--dependency=singleton",
    ]
    if job.kind in ("train", "sample"):  # signaled to save before the time limit, then queued again
        found += [f"--signal=SIGUSR1@{cluster.notice_seconds}", "--requeue"]
    found += [f"--array=0-{job.workers - 1}"] if job.workers > 1 else []
    found += [cluster.gpu_option.format(gpus=job.gpus)] if job.gpus else []
    found += [f"--mem={cluster.memory_per_task_gib * job.processes}G"] if cluster.memory_per_task_gib else []
    partition = cluster.partition if job.gpus else cluster.cpu_partition
    named = (("partition", partition), ("account", cluster.account), ("qos", cluster.qos))
    return found + [_option(name, value) for name, value in named if value] + list(cluster.options)


def _option(name: str, value: str) -> str:
    """Return an option of sbatch, which ends a value at a space and a line at ``#`` unless they are in quotes."""
    if re.fullmatch(r"[\w@%+=:,./-]+", value):
        return f"--{name}={value}"
    return f'--{name}="{value.replace(chr(34), chr(92) + chr(34))}"'


def _readable(path: Path) -> str:
    """Return a path as text, without the characters that sbatch reads as its own in any quotes."""
    if re.search(r"[\\\x00-\x1f]", str(path)):
        raise UserError(
            f"{str(path)!r}: sbatch reads no path with a backslash or a line break; choose another --out or folder."
        )
    return str(path)


def time_limit(minutes: int) -> str:
    """Format minutes as SLURM's days-hours:minutes:seconds."""
    return f"{minutes // 1440}-{minutes // 60 % 24:02d}:{minutes % 60:02d}:00"
