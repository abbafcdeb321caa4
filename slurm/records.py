"""Records of submitted jobs: one small JSON per job beside its script; none is replaced while its job is alive."""

import json
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import Literal

from lightning_mmdiff.runtime.files import read_text, write_json

SUFFIX = ".job.json"
Kind = Literal["data", "train", "sample", "report"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """A submitted job."""

    label: str
    """Name of its run, or of its part of a table."""
    kind: Kind
    number: str
    """SLURM's job number, or that of the array if it is one."""
    tasks: int
    covers: tuple[str, ...]
    """What it does beside its run: metrics of samples; runs whose data or report a part of a table is."""
    needs: tuple[str, ...]
    """Labels of the jobs that it waits for."""

    def numbers(self) -> list[str]:
        """Return the numbers of its tasks."""
        return [self.number] if self.tasks == 1 else [f"{self.number}_{i}" for i in range(self.tasks)]


def keep(folder: Path, record: Record, alive: Iterable[str]) -> None:
    """Write the record of a job that was just submitted; remove those of its label whose jobs are not ``alive``."""
    write_json(_path(folder, record.label, record.number), asdict(record))
    for path in folder.glob(f"{escape(record.label)}-*{SUFFIX}"):
        other = _read(path)
        if other and other.label == record.label and other.number not in (*alive, record.number):
            path.unlink(missing_ok=True)


def read(folder: Path) -> list[Record]:
    """Return the records in order of submission; one that cannot be read is left out with a warning."""
    found = [record for path in sorted(folder.glob(f"*{SUFFIX}")) if (record := _read(path)) is not None]
    return sorted(found, key=lambda record: int(record.number))


def _path(folder: Path, label: str, number: str) -> Path:
    return folder / f"{label}-{number}{SUFFIX}"


def _read(path: Path) -> Record | None:
    try:
        values = json.loads(read_text(path))
        record = Record(**{**values, "covers": tuple(values["covers"]), "needs": tuple(values["needs"])})
        if not (record.number.isdecimal() and type(record.tasks) is int and record.tasks > 0):
            raise ValueError(f"its number is {record.number!r}, its tasks are {record.tasks!r}")
        if _path(path.parent, record.label, record.number) != path:
            raise ValueError(f"it is that of {record.label!r}, job {record.number}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.warn(f"{path} cannot be read ({error}) and is left out; delete it.", stacklevel=2)
        return None
    return record
