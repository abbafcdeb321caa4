"""State of submitted jobs, combined from the queue, SLURM's memory of ended jobs and the files of the runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Literal

from reports.progress import TableProgress, survey
from slurm import scheduler
from slurm.order import jobs_folder
from slurm.records import Record
from slurm.scheduler import Queued
from slurm.submitted import Submitted, labels_of, submitted

State = Literal["running", "waiting", "done", "failed", "stopped", "not submitted"]
OURS = re.compile(r"^error: (.*)$", re.MULTILINE)
"""Error messages of our command line."""
SLURMS = re.compile(r"^(?:srun|slurmstepd\S*): error: (.*)$", re.MULTILINE)
"""Error messages of SLURM: time limit, memory, exit code."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """State of one run, or one part of a table, after its last submission."""

    name: str
    job: str
    state: State
    detail: str
    """Progress and time left, what it waits for, or why it failed."""


def survey_jobs(profile: Path, names: Sequence[str] = ()) -> list[Line]:
    """Return the state of everything that was submitted or ordered below ``<out>/<profile>``, in order of submission.

    Args:
        profile: folder of all runs of a profile.
        names: tables, runs or jobs to return; none means all.
    """
    found, runs = submitted(profile), survey(profile)
    lines: dict[str, Line] = {}
    for label, jobs in found.items():
        lines[label] = _line(jobs, runs.get(label), lines, jobs_folder(profile))
    return [lines[label] for label in labels_of(names, profile, found)]


def _line(jobs: Submitted, run: TableProgress | None, lines: Mapping[str, Line], folder: Path) -> Line:
    name, job = jobs.label, jobs.numbers[-1] if jobs.numbers else ""
    running = [queued for queued in jobs.queued if queued.state != "PENDING"]
    if running:
        return Line(name=name, job=running[0].number, state="running", detail=_progress(run, running[0].left))
    if jobs.queued:
        detail = _why_waiting(jobs.queued[0], jobs.needs, lines)
        return Line(name=name, job=jobs.queued[0].number, state="waiting", detail=detail)
    if run is not None and run.state == "done":
        return Line(name=name, job=job, state="done", detail="")
    if run is not None and run.state == "failed":
        return Line(name=name, job=job, state="failed", detail=run.reason)
    if not jobs.records:
        return Line(name=name, job="", state="not submitted", detail="")
    said = last_error(logs(folder, name, jobs.records[-1].number))
    return _ended(jobs.records[-1], lines, said)


def _progress(run: TableProgress | None, limit: str) -> str:
    """Return the steps or images so far, the total time left, and the time until the job's limit."""
    words = []
    if run is not None and run.total and run.state == "running":
        words.append(f"{run.done:,} of {run.total:,} {run.unit}")
        words += [f"about {duration(run.left)} left"] if run.left is not None else []
    return ", ".join([*words, f"time limit in {limit}"])


def duration(seconds: float) -> str:
    """Format a duration in hours and minutes, or in seconds below a minute."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _why_waiting(queued: Queued, needs: Sequence[str], lines: Mapping[str, Line]) -> str:
    open_needs = [need for need in needs if need in lines and lines[need].state != "done"]
    if queued.reason == "Dependency" and open_needs:
        return f"after {', '.join(open_needs)}"
    reasons = {"Dependency": "after an earlier job of the same name", "BeginTime": "was queued again, starts soon"}
    return reasons.get(queued.reason, queued.reason)


def _ended(record: Record, lines: Mapping[str, Line], said: str) -> Line:
    """Return the state of a job that left the queue without a result and without a reason in its folder.

    Args:
        record: the job.
        lines: states of earlier jobs.
        said: error in its log.
    """
    name, numbers = record.label, record.numbers()
    broken = [need for need in record.needs if need in lines and lines[need].state in ("failed", "stopped")]
    ends = [end for n in numbers if (end := scheduler.ended(n)) is not None]
    bad = next((end for end in ends if end.state not in scheduler.ENDED_WELL), None)
    never = bad is not None and bad.reason == "DependencyNeverSatisfied"
    is_run, job = record.kind in ("train", "sample"), record.number
    if never or (broken and record.kind != "report" and not ends):
        why = ", ".join(broken) or "a job that it needs"
        return Line(name=name, job=job, state="stopped", detail=f"never started: {why} did not succeed")
    if not bad and ends and not is_run:
        return Line(name=name, job=job, state="done", detail="")
    if bad:
        state: State = "stopped" if bad.state == "CANCELLED" else "failed"
        detail = f"{bad.state}, exit code {bad.exit_code}" + (f": {said}" if said else "")
        return Line(name=name, job=job, state=state, detail=detail)
    if not is_run and not said:
        return Line(name=name, job=job, state="done", detail="SLURM has forgotten the job; its log shows no error")
    return Line(name=name, job=job, state="failed", detail=said or "ended without a result; see its log")


def logs(folder: Path, label: str, number: str) -> list[Path]:
    """Return the logs of a job that exist, in the order of its array tasks."""
    tasks = folder.glob(f"{escape(label)}-{number}_*.log")
    found = [folder / f"{label}-{number}.log", *sorted(tasks, key=lambda path: int(path.stem.rpartition("_")[2]))]
    return [path for path in found if path.is_file()]


def last_error(paths: Sequence[Path]) -> str:
    """Return the last error in the logs, preferring our messages over SLURM's; "" if there is none."""
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)
    found = OURS.findall(text) or SLURMS.findall(text)
    return found[-1].strip("* ") if found else ""
