"""What was submitted, and for which table: the jobs of every label, from their names in the queue and their records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_mmdiff.errors import UserError
from slurm import records, scheduler
from slurm.order import job_name, jobs_folder, labels_by_table
from slurm.records import Record
from slurm.scheduler import Queued


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """All jobs of one run, or of one part of a table."""

    label: str
    queued: Sequence[Queued]
    """Those in the queue, by their name there: also those without a record."""
    records: Sequence[Record]
    """In order of submission."""

    @property
    def numbers(self) -> list[str]:
        """Numbers of the jobs, the newest last."""
        found = {record.number for record in self.records} | {queued.number for queued in self.queued}
        return sorted(found, key=int)

    @property
    def needs(self) -> tuple[str, ...]:
        """Labels that the newest job waits for."""
        return self.records[-1].needs if self.records else ()

    @property
    def is_waiting_report(self) -> bool:
        """Whether a report is in the queue."""
        return bool(self.queued and self.records and self.records[-1].kind == "report")


def submitted(profile: Path) -> dict[str, Submitted]:
    """Return everything that was submitted or ordered below ``<out>/<profile>`` by label, in order of submission."""
    if not jobs_folder(profile).is_dir():
        return {}
    found = records.read(jobs_folder(profile))
    queue = [queued for queued in scheduler.queue() if queued.name == job_name(profile, _label(queued))]
    first = sorted([(int(r.number), r.label) for r in found] + [(int(q.number), _label(q)) for q in queue])
    ordered = [label for labels in labels_by_table(profile).values() for label in labels]
    labels = dict.fromkeys([*(label for _, label in first), *ordered])
    return {
        label: Submitted(
            label=label, queued=[q for q in queue if _label(q) == label], records=[r for r in found if r.label == label]
        )
        for label in labels
    }


def _label(queued: Queued) -> str:
    return queued.name.rpartition(".")[0]


def labels_of(names: Sequence[str], profile: Path, found: Mapping[str, Submitted]) -> list[str]:
    """Return the labels that the names of tables, runs and jobs stand for, each once; all of ``found`` without a name.

    Raises:
        UserError: for a name that is none of these.
    """
    tables = labels_by_table(profile)
    unknown = [name for name in names if name not in tables and name not in found]
    if unknown:
        raise UserError(
            f"{' '.join(unknown)}: no such job in {jobs_folder(profile)}; there are {', '.join(found) or 'none'}."
        )
    labels = [label for name in names for label in tables.get(name, (name,))]
    return list(dict.fromkeys(labels)) if names else list(found)


def needed_elsewhere(names: Sequence[str], profile: Path, found: Mapping[str, Submitted]) -> dict[str, str]:
    """Return label -> another table, not in ``names``, whose report is in the queue and covers the label."""
    tables = {table: labels for table, labels in labels_by_table(profile).items() if table not in names}
    waiting = {table: labels for table, labels in tables.items() if any(found[x].is_waiting_report for x in labels)}
    return {label: table for table, labels in waiting.items() for label in labels if label not in names}
