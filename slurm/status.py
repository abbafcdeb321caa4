"""State of submitted jobs, combined from the queue, SLURM's memory of ended jobs and the files of the runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reports.progress import TableProgress, survey
from slurm import records, scheduler
from slurm.jobs import jobs_folder
from slurm.records import Record
from slurm.scheduler import Queued

State = Literal["running", "waiting", "done", "failed", "stopped"]
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


def survey_jobs(profile: Path) -> list[Line]:
    """Return the state of everything that was submitted below ``runs/<profile>``, in order of submission."""
    folder = jobs_folder(profile)
    submitted = records.read(folder)
    queue, runs = scheduler.queue(), survey(profile)
    lines: dict[str, Line] = {}
    for record in submitted.values():
        for name in record.runs or (record.label,):
            lines[name] = _line(record, name, queue, runs.get(name), lines, folder)
    return list(lines.values())


def _line(
    record: Record,
    name: str,
    queue: Mapping[str, Queued],
    run: TableProgress | None,
    lines: Mapping[str, Line],
    folder: Path,
) -> Line:
    numbers = record.numbers(name)
    queued = [queue[n] for n in numbers if n in queue]
    job = numbers[0] if len(numbers) == 1 else record.number
    if any(q.state != "PENDING" for q in queued):
        left = next(q.left for q in queued if q.state != "PENDING")
        return Line(name=name, job=job, state="running", detail=_progress(run, left))
    if queued:
        return Line(name=name, job=job, state="waiting", detail=_why_waiting(queued[0], record, lines))
    if run is not None and run.state == "done":
        return Line(name=name, job=job, state="done", detail="")
    if run is not None and run.state == "failed":
        return Line(name=name, job=job, state="failed", detail=run.reason)
    return _ended(record, name, numbers, lines, folder)


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


def _why_waiting(queued: Queued, record: Record, lines: Mapping[str, Line]) -> str:
    open_needs = [n.label for n in record.needs if n.label in lines and lines[n.label].state != "done"]
    if queued.reason == "Dependency" and open_needs:
        return f"after {', '.join(open_needs)}"
    reasons = {"Dependency": "after an earlier job of the same name", "BeginTime": "was queued again, starts soon"}
    return reasons.get(queued.reason, queued.reason)


def _ended(record: Record, name: str, numbers: list[str], lines: Mapping[str, Line], folder: Path) -> Line:
    """Return the state of a job that left the queue without a result and without a reason in its folder."""
    job = numbers[0]
    broken = [n.label for n in record.needs if n.label in lines and lines[n.label].state in ("failed", "stopped")]
    ends = [end for n in numbers if (end := scheduler.ended(n)) is not None]
    bad = next((end for end in ends if end.state not in scheduler.ENDED_WELL), None)
    never = bad is not None and bad.reason == "DependencyNeverSatisfied"
    if broken and record.kind != "report" and (never or not ends):
        return Line(name=name, job=job, state="stopped", detail=f"never started: {', '.join(broken)} did not succeed")
    if not bad and ends and not record.runs:
        return Line(name=name, job=job, state="done", detail="")
    said = last_error(folder, record.label, numbers)
    if bad:
        state: State = "stopped" if bad.state == "CANCELLED" else "failed"
        detail = f"{bad.state}, exit code {bad.exit_code}" + (f": {said}" if said else "")
        return Line(name=name, job=job, state=state, detail=detail)
    if not record.runs and not said:
        return Line(name=name, job=job, state="done", detail="SLURM has forgotten the job; its log shows no error")
    return Line(name=name, job=job, state="failed", detail=said or "ended without a result; see its log")


def logs(folder: Path, label: str, numbers: list[str]) -> list[Path]:
    """Return the logs of a job that exist, in the order of its array tasks."""
    paths = [folder / f"{label}-{number}.log" for number in numbers]
    return [path for path in paths if path.is_file()]


def last_error(folder: Path, label: str, numbers: list[str]) -> str:
    """Return the last error in the logs, preferring our messages over SLURM's; "" if there is none."""
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in logs(folder, label, numbers))
    found = OURS.findall(text) or SLURMS.findall(text)
    return found[-1].strip("* ") if found else ""
