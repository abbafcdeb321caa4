"""SLURM's own commands, as functions."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lightning_mmdiff.errors import UserError

ENDED_WELL = ("COMPLETED", "RUNNING", "PENDING", "COMPLETING", "CONFIGURING", "REQUEUED", "RESIZING", "SUSPENDED")
"""States that are not failures."""


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
        raise UserError(f"{' '.join(words[:2])} ... failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def submit(script: Path, dependency: str) -> str:
    """Queue a script and return its number. A job whose dependency fails is canceled rather than kept waiting."""
    out = run("sbatch", "--parsable", f"--dependency={dependency}", "--kill-on-invalid-dep=yes", str(script))
    return out.strip().split(";")[0]


def queue() -> dict[str, Queued]:
    """Return the user's jobs by number, each task of an array separately."""
    found = {}
    for line in run("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r|%L").splitlines():
        number, state, reason, left = (word.strip() for word in line.split("|"))
        found[number] = Queued(id=number, state=state, reason=reason, left=left)
    return found


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
    for line in out.splitlines():
        name, state, code, reason = line.split("|")
        if name == number:
            return Ended(state=state.split()[0], exit_code=code, reason=reason)  # "CANCELLED by 1000"
    return None


def _from_controller(number: str) -> Ended | None:
    try:
        out = run("scontrol", "--oneliner", "show", "job", number)
    except UserError:  # forgotten a few minutes after its end
        return None
    fields = dict(word.split("=", 1) for word in out.split() if "=" in word)
    return Ended(state=fields["JobState"], exit_code=fields["ExitCode"], reason=fields["Reason"])
