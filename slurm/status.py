"""State of submitted jobs, combined from the queue, SLURM's memory of ended jobs and the files of the runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightning_mmdiff.runtime.durations import duration
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports.progress import TableProgress, survey
from slurm import scheduler
from slurm.logs import closing_line, last_words, logs
from slurm.order import jobs_folder
from slurm.records import Record
from slurm.scheduler import Queued
from slurm.submitted import Submitted, labels_of, submitted

State = Literal["running", "waiting", "done", "failed", "stopped", "not submitted"]


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
    if run is not None and run.state == "failed":
        return Line(name=name, job=job, state="failed", detail=run.reason)
    covers = jobs.records[-1].covers if jobs.records else ()
    if run is not None and run.state == "done" and (without := _unmeasured(run.folder, covers)) is not None:
        return Line(name=name, job=job, state="done", detail=without)
    if not jobs.records:
        return Line(name=name, job="", state="not submitted", detail="")
    return _ended(jobs.records[-1], lines, logs(folder, name, job))


def _unmeasured(folder: Path, protocols: Sequence[str]) -> str | None:
    """Return which metrics could not be measured, and why; "" if all are, None if one is missing without a reason."""
    run = RunFolder(folder)
    missing, reasons = run.missing(protocols), run.reasons
    if any(protocol not in reasons for protocol in missing):
        return None
    return f"without {', '.join(missing)}: {reasons[missing[0]]}" if missing else ""


def _progress(run: TableProgress | None, limit: str) -> str:
    """Return the steps or images so far, the total time left, and the time until the job's limit."""
    words = []
    if (
        run is not None and run.total and run.state in ("running", "stopped")
    ):  # it has the machine, perhaps between two locks
        words.append(f"{run.done:,} of {run.total:,} {run.unit}")
        words += [f"about {duration(run.left)} left"] if run.left is not None else []
    return ", ".join([*words, f"time limit in {limit}"])


def _why_waiting(queued: Queued, needs: Sequence[str], lines: Mapping[str, Line]) -> str:
    open_needs = [need for need in needs if need in lines and lines[need].state != "done"]
    if queued.reason == "Dependency" and open_needs:
        return f"after {', '.join(open_needs)}"
    reasons = {"Dependency": "after an earlier job of the same name", "BeginTime": "was queued again, starts soon"}
    if queued.reason in scheduler.NEVER:
        keys = scheduler.NEVER[queued.reason]
        return f"{queued.reason}: it asks for what its partition lacks; correct {keys} in the cluster file"
    return reasons.get(queued.reason, queued.reason)


def _ended(record: Record, lines: Mapping[str, Line], paths: Sequence[Path]) -> Line:
    """Return the state of a job that left the queue without a result and without a reason in its folder.

    Args:
        record: the job.
        lines: states of earlier jobs.
        paths: its logs.
    """
    broken = [need for need in record.needs if need in lines and lines[need].state in ("failed", "stopped")]
    ends = [end for number in record.numbers() if (end := scheduler.ended(number)) is not None]
    bad = next((end for end in ends if end.state not in scheduler.ENDED_WELL), None)
    never = bad is not None and bad.reason == "DependencyNeverSatisfied"
    never = never or bool(broken and record.kind != "report" and not ends and not paths)
    said, is_run = last_words(paths), record.kind in ("train", "sample")
    state: State = "failed"
    detail = said or "ended without a result or a word in its log"
    if not is_run and (said == closing_line(record.label) or (not bad and any(e.state == "COMPLETED" for e in ends))):
        state, detail = "done", ""
    elif never:
        state, detail = "stopped", f"never started: {', '.join(broken) or 'a job that it needs'} did not succeed"
    elif bad is not None:
        state = "stopped" if bad.state == "CANCELLED" else "failed"
        detail = f"{bad.state}, exit code {bad.exit_code}" + (f": {said}" if said else "")
    elif not paths:
        state, detail = "stopped", "never started: it left the queue without a log"
    return Line(name=record.label, job=record.number, state=state, detail=detail)
