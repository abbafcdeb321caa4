"""SLURM's own commands, as functions. Their answers are searched, never cut up: sites print banners between the lines."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lightning_mmdiff.errors import UserError

ENDED_WELL = ("COMPLETED", "RUNNING", "PENDING", "COMPLETING", "CONFIGURING", "REQUEUED", "RESIZING", "SUSPENDED")
"""States that are not failures."""
NUMBER = re.compile(r"^(?:Submitted batch job )?(\d+)(?:;\S*| on cluster \S+)?$", re.MULTILINE)
"""Answer of sbatch, with or without ``--parsable``, from one cluster or a federation."""
QUEUED = re.compile(r"^(\d+(?:_\d+)?)\|([A-Z_]+)\|([^|]*)\|([^|\s]*)\|(.*)$", re.MULTILINE)
"""Line of squeue, in the format below."""
ENDED = re.compile(r"^(\d+(?:_\d+)?)\|([A-Z_]+)[^|]*\|(\d+:\d+)\|(.*)$", re.MULTILINE)
"""Line of sacct, in the format below; the state may go on: "CANCELLED by 1000"."""


@dataclass(frozen=True, kw_only=True)
class Queued:
    """A job, or a task of an array, in the queue."""

    id: str
    """``12``, or ``12_3`` for a task."""
    state: str
    """PENDING, RUNNING, COMPLETING, ..."""
    reason: str
    """Why it waits: Dependency, Priority, Resources, BeginTime (queued again), ..."""
    left: str
    """Remaining part of its time limit."""
    name: str

    @property
    def number(self) -> str:
        """Number of the job, or of the array that it belongs to."""
        return self.id.partition("_")[0]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job that is no longer in the queue."""

    state: str
    """COMPLETED, FAILED, TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, CANCELLED, ..."""
    exit_code: str
    reason: str


def run(*words: str) -> str:
    """Return the output of a SLURM command.

    Raises:
        UserError: if the command is not installed or fails; with its message.
    """
    if shutil.which(words[0]) is None:
        raise UserError(f"{words[0]} is not to be found; run this on a login node of a SLURM cluster.")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise UserError(f"{' '.join(words[:2])} ... failed: {'; '.join(said)}")
    return done.stdout


SIZES = "cpus_per_task, memory_per_task_gib, gpus_per_node, gpu_option, nodes or partition"
NEVER = {
    **dict.fromkeys(("PartitionConfig", "BadConstraints", "PartitionNodeLimit"), SIZES),
    "PartitionTimeLimit": "max_hours or partition",
}
"""Reason for which a job waits for ever -> keys of the cluster file that it is about."""
REFUSALS = {
    "CPU count": "cpus_per_task",
    "node configuration is not available": SIZES,
    "partition": "partition or cpu_partition",
    "time limit": "max_hours or partition",
    "account": "account or partition",
    "qos": "qos",
    "generic resource": "gpu_option",
    "memory": "memory_per_task_gib",
}
"""Part of a refusal by sbatch -> the same."""


def submit(script: Path, dependency: str) -> str:
    """Queue a script and return its number. A job whose dependency fails is canceled rather than kept waiting.

    Raises:
        UserError: if SLURM refuses the script, or answers without a number.
    """
    try:
        out = run("sbatch", "--parsable", f"--dependency={dependency}", "--kill-on-invalid-dep=yes", str(script))
    except UserError as error:
        keys = next((keys for part, keys in REFUSALS.items() if part.lower() in str(error).lower()), None)
        if keys is None:
            raise
        raise UserError(f"{str(error).rstrip('.')}; correct {keys} in the cluster file") from error
    numbers = NUMBER.findall(out)
    if not numbers:
        raise UserError(
            f"sbatch took {script} but answered {out.strip()!r}, without a job number; squeue --me shows whether it is queued."
        )
    return numbers[-1]


def queue() -> list[Queued]:
    """Return the user's jobs, each task of an array separately."""
    found = QUEUED.findall(run("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r|%L|%j"))
    return [Queued(id=i, state=state, reason=reason, left=left, name=name) for i, state, reason, left, name in found]


def ended(number: str) -> Ended | None:
    """Return how a job ended, from the accounting or else from the controller; None if neither has a record."""
    return _from_accounting(number) or _from_controller(number)


def cancel(numbers: Iterable[str]) -> None:
    """Cancel jobs, including those that are waiting."""
    for number in numbers:
        run("scancel", number)


def _from_accounting(number: str) -> Ended | None:
    try:
        out = run("sacct", "-j", number, "-X", "-n", "-P", "-o", "JobID,State,ExitCode,Reason")
    except UserError:  # no accounting here
        return None
    ends = {
        number: Ended(state=state, exit_code=code, reason=reason) for number, state, code, reason in ENDED.findall(out)
    }
    return ends.get(number)


def _from_controller(number: str) -> Ended | None:
    try:
        out = run("scontrol", "--oneliner", "show", "job", number)
    except UserError:  # forgotten a few minutes after its end
        return None
    fields = {name: re.search(rf"\b{name}=(\S+)", out) for name in ("JobState", "ExitCode", "Reason")}
    state, code, reason = (found[1] if found else "" for found in fields.values())
    return Ended(state=state, exit_code=code, reason=reason) if state else None
