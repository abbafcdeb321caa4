"""A user's order, kept beside the scripts it leads to, so that later commands know which jobs belong to which table.

This module imports no torch: ``python -m slurm`` answers in a second.
"""

import hashlib
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeGuard

from experiments import INDEX, Profile
from lightning_mmdiff.errors import MissingFileError, UserError, did_you_mean
from lightning_mmdiff.runtime.files import read_text, write_json
from slurm import records

if TYPE_CHECKING:
    from experiments.spec import Table

SUFFIX = ".order.json"


def jobs_folder(profile: Path) -> Path:
    """Return the folder of the scripts, logs and records of a profile's jobs, given ``<out>/<profile>``."""
    return profile / "slurm"


def job_name(profile: Path, label: str) -> str:
    """Return the name in the queue: always the same for one run folder, from any table, and different for others."""
    return f"{label}.{hashlib.sha256(str((profile / label).resolve()).encode()).hexdigest()[:6]}"


@dataclass(frozen=True, kw_only=True)
class Order:
    """A user's order: a table with the flags of its command line."""

    table: str
    """A name in the index, or any module with a ``table`` function and a ``main``."""
    profile: Profile = "mini"
    out: Path = Path("runs")
    data: Path | None = None
    seeds: int = 1
    only: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Name of the module after ``python -m``."""
        return f"experiments.{self.table}" if self.table in {e.name for e in INDEX} else self.table

    @property
    def runs(self) -> Path:
        """Folder of all runs of the profile."""
        return self.out / self.profile

    @property
    def folder(self) -> Path:
        """Folder of the scripts, logs and records of jobs."""
        return jobs_folder(self.runs)

    def tables(self) -> list["Table"]:
        """Return the table once for each seed.

        Raises:
            UserError: if there is no such table, or no seed.
        """
        if self.seeds < 1:
            raise UserError(f"--seeds is {self.seeds}; it must be at least 1.")
        table = getattr(self._imported(), "table", None)
        if not callable(table):
            names = [entry.name for entry in INDEX]
            hint = did_you_mean(self.table, names)
            raise UserError(f"No table is called {self.table!r}; there are {', '.join(names)}{hint}")
        return [table(self.profile, seed) for seed in range(self.seeds)]

    def _imported(self) -> ModuleType | None:
        """Return the module of the table, or None if there is none."""
        if not all(part.isidentifier() for part in self.module.split(".")):
            return None
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if not f"{self.module}.".startswith(f"{error.name}."):
                raise  # the table exists, but something that it imports does not
            return None

    def words(self) -> list[str]:
        """Return the arguments of the local command without ``--only``."""
        flags = ["-m", self.module, "--profile", self.profile, "--out", str(self.out)]
        flags += ["--data", str(self.data)] if self.data else []
        return flags + (["--seeds", str(self.seeds)] if self.seeds > 1 else [])

    def keep(self, labels: list[str]) -> None:
        """Write the order and the labels of its jobs, with those that an earlier order of this table submitted."""
        submitted = {record.label for record in records.read(self.folder)}
        before = [label for label in labels_by_table(self.runs).get(self.table, ()) if label in submitted]
        flags = {"data": str(self.data) if self.data else None, "seeds": self.seeds, "only": list(self.only)}
        write_json(self.folder / f"{self.table}{SUFFIX}", {**flags, "jobs": list(dict.fromkeys((*before, *labels)))})


def read_order(table: str, profile: Profile, out: Path) -> Order:
    """Return the last order of a table at this profile below ``out``.

    Raises:
        MissingFileError: if this table was never submitted from there.
        UserError: if the file does not hold an order.
    """
    path = jobs_folder(out / profile) / f"{table}{SUFFIX}"
    if not path.is_file():
        raise MissingFileError(f"{path}: {table} was not submitted from here; run python -m slurm.submit {table}.")
    words = _read(path)
    data, seeds, only = words.get("data"), words.get("seeds"), words.get("only")
    if not (isinstance(data, str | None) and type(seeds) is int and seeds > 0 and _are_names(only)):
        raise UserError(f"{path} holds no order; run python -m slurm.submit {table} with your flags.")
    return Order(
        table=table, profile=profile, out=out, data=Path(data) if data else None, seeds=seeds, only=tuple(only)
    )


def labels_by_table(profile: Path) -> dict[str, tuple[str, ...]]:
    """Return the labels of all jobs of every table that was submitted below ``<out>/<profile>``."""
    paths = sorted(jobs_folder(profile).glob(f"*{SUFFIX}"))
    found = {path.name.removesuffix(SUFFIX): _read(path).get("jobs") for path in paths}
    return {table: tuple(labels) for table, labels in found.items() if _are_names(labels)}


def _read(path: Path) -> dict:
    """Return the content of a file of an order; {} if it has none, which the next submission mends."""
    try:
        words = json.loads(read_text(path))
    except (OSError, ValueError):
        return {}
    return words if isinstance(words, dict) else {}


def _are_names(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
