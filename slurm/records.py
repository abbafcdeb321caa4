"""Records of submitted jobs: one small JSON per job beside its script, so that any later command finds it again."""

import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from lightning_mmdiff.errors import MissingFileError
from lightning_mmdiff.runtime.files import read_text, write_json
from slurm.jobs import Job, Kind, Need, Order


@dataclass(frozen=True, kw_only=True)
class Record:
    """A submitted job."""

    label: str
    kind: Kind
    number: str
    """SLURM's job number, or that of the array if it is one."""
    runs: tuple[str, ...]
    tasks: int
    command: str
    needs: tuple[Need, ...]

    def numbers(self, run: str | None = None) -> list[str]:
        """Return the numbers of its tasks; with ``run``, only of those that work on that run."""
        if self.tasks == 1:
            return [self.number]
        wanted = [i for i in range(self.tasks) if run is None or len(self.runs) == 1 or self.runs[i] == run]
        return [f"{self.number}_{i}" for i in wanted]


def keep(folder: Path, job: Job, number: str) -> Record:
    """Write the record of a job that was just submitted."""
    record = Record(
        label=job.label, kind=job.kind, number=number, runs=tuple(run.name for run in job.runs), tasks=job.tasks,
        command=job.command, needs=job.needs,
    )  # fmt: skip
    write_json(folder / f"{job.label}.job.json", asdict(record))
    return record


def read(folder: Path) -> dict[str, Record]:
    """Return the records by label, in order of submission; one that cannot be read is left out with a warning."""
    found = [record for path in sorted(folder.glob("*.job.json")) if (record := _read(path)) is not None]
    return {record.label: record for record in sorted(found, key=lambda r: int(r.number))}


def _read(path: Path) -> Record | None:
    try:
        values = json.loads(read_text(path))
        record = Record(**{**values, "runs": tuple(values["runs"]), "needs": tuple(Need(**n) for n in values["needs"])})
        if not record.number.isdecimal():
            raise ValueError(f"its job number is {record.number!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.warn(f"{path} cannot be read ({error}) and is left out; delete it.", stacklevel=2)
        return None
    return record


def keep_order(order: Order, cluster: Path | None) -> None:
    """Write the order, so that ``resubmit`` can repeat it."""
    words = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(order).items()}
    write_json(_order_path(order.folder, order.table), {**words, "cluster": str(cluster) if cluster else None})


def read_order(folder: Path, table: str) -> tuple[Order, Path | None]:
    """Return the last order of a table, and its cluster file.

    Raises:
        MissingFileError: if this table was never submitted.
    """
    path = _order_path(folder, table)
    if not path.is_file():
        raise MissingFileError(f"{path}: {table} was not submitted from here; run python -m slurm.submit {table}.")
    words = json.loads(read_text(path))
    cluster = words.pop("cluster")
    words |= {"out": Path(words["out"]), "data": Path(words["data"]) if words["data"] else None}
    return Order(**{**words, "only": tuple(words["only"])}), Path(cluster) if cluster else None


def _order_path(folder: Path, table: str) -> Path:
    return folder / f"{table}.order.json"
