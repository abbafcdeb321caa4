"""SLURM's own commands, as functions."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lightning_mmdiff.errors import UserError

ENDED_WELL = ("COMPLETED", "RUNNING", "PENDING", "COMPLETING", "CONFIGURING", "REQUEUED", "RESIZING", "SUSPENDED")
"""States that are no failure."""


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
    """Of its time limit."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job that is not in the queue any more."""

    state: str
    """COMPLETED, FAILED, TIMEOUT, OUT_OF_MEMORY, NODE_FAIL, CANCELLED, ..."""
    exit_code: str
    reason: str


def run(*words: str) -> str:
    """Output of a command of SLURM.

    Raises:
        UserError: if it is not installed or says no; with its message.
    """
    if shutil.which(words[0]) is None:
        raise UserError(f"{words[0]} is not to be found; run this on a login node of a SLURM cluster.")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(words[:2])} ... failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def submit(script: Path, dependency: str) -> str:
    """Queue a script and return its number. A job whose dependency has failed is canceled rather than kept waiting."""
    out = run("sbatch", "--parsable", f"--dependency={dependency}", "--kill-on-invalid-dep=yes", str(script))
    return out.strip().split(";")[0]


def queue() -> dict[str, Queued]:
    """The user's jobs by number; each task of an array on its own."""
    found = {}
    for line in run("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r|%L").splitlines():
        number, state, reason, left = (word.strip() for word in line.split("|"))
        found[number] = Queued(id=number, state=state, reason=reason, left=left)
    return found


def ended(number: str) -> Ended | None:
    """How a job ended, from the accounting, or from the controller where there is none; None if nobody remembers."""
    return _from_accounting(number) or _from_controller(number)


def cancel(numbers: Iterable[str]) -> None:
    """Take jobs out of the queue, the waiting ones too."""
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
    except UserError:  # forgotten, some minutes after its end
        return None
    fields = dict(word.split("=", 1) for word in out.split() if "=" in word)
    return Ended(state=fields["JobState"], exit_code=fields["ExitCode"], reason=fields["Reason"])
