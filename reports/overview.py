"""State of a whole profile: every table of the index, started or not, with its rows, claims, cost and time left."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_mmdiff.errors import UserError
from reports.costs import of_table
from reports.progress import TableProgress, survey
from reports.results import load_table
from reports.schema import Entry, Stage, TableResult
from reports.table_folder import TableFolder

ORDER = ("measured", "running", "stopped", "pending", "failed", "not measured")


@dataclass(frozen=True, kw_only=True, eq=False)
class Standing:
    """State of one table."""

    name: str
    source: str
    shows: str
    budget: str
    """Cost of the profile according to the index."""
    result: TableResult | None
    """None if the table was not started or is unreadable."""
    trouble: str
    """Why it is unreadable; empty if it is readable."""
    runs: tuple[TableProgress, ...]
    """Run folders behind the table, trainings included, each once."""
    unclaimed: int
    """Number of runs of its rows that have no folder yet."""

    @property
    def rows(self) -> Counter[str]:
        """State -> number of rows."""
        return Counter(row.state for row in self.result.rows) if self.result else Counter()

    @property
    def claims(self) -> Counter[str]:
        """Decision -> number of claims."""
        return Counter(claim.decision for claim in self.result.claims) if self.result else Counter()

    @property
    def stages(self) -> list[Stage]:
        """Stages run so far, each once."""
        return of_table(self.result) if self.result else []

    @property
    def state(self) -> str:
        """Most urgent state of its rows and of their runs, as one word."""
        if self.trouble:
            return "unreadable"
        if self.result is None:
            return "not started"
        states = {*self.rows, *(run.state for run in self.runs), *(["pending"] if self.unclaimed else [])}
        return next((state for state in ("failed", "running", "stopped", "pending") if state in states), "done")


@dataclass(frozen=True, kw_only=True, eq=False)
class Overview:
    """State of one profile."""

    profile: str
    tables: tuple[Standing, ...]
    runs: tuple[TableProgress, ...]
    """Every run folder, including those of evaluators."""
    complete: bool
    """Whether ``tables`` includes the tables that were never run."""

    @property
    def started(self) -> tuple[Standing, ...]:
        """Tables with a page."""
        return tuple(table for table in self.tables if table.result)


def look(folder: Path, index: Sequence[Entry]) -> Overview:
    """Read everything below ``folder`` (``runs/<profile>``): tables in the order of the index, then any others.

    Raises:
        UserError: if there are neither runs nor tables.
    """
    runs = survey(folder)
    entries = {entry.name: entry for entry in index}
    there = [table.name for table in TableFolder.written(folder)]
    if not runs and not there:
        raise UserError(
            f"{folder}: no runs and no tables; run a table first (python -m experiments lists them), or name another --out."
        )
    names = [*entries, *(name for name in there if name not in entries)]
    tables = tuple(_standing(name, folder, entries.get(name), runs) for name in names)
    return Overview(profile=folder.name, tables=tables, runs=tuple(runs.values()), complete=bool(entries))


def _standing(name: str, folder: Path, entry: Entry | None, runs: Mapping[str, TableProgress]) -> Standing:
    result, trouble = None, ""
    path = TableFolder.of(folder, name).table
    if path.is_file():
        try:
            result = load_table(path)
        except (ValueError, KeyError, TypeError) as error:
            words = str(error) if isinstance(error, UserError) else f"{path}: {type(error).__name__}: {error}"
            trouble = words.replace(f"{folder}/", "")
    needed = [f.name for row in result.rows for run in row.runs for f in (*run.trainings, run.folder)] if result else []
    unique = dict.fromkeys(needed)
    return Standing(
        name=name,
        source=entry.source if entry else result.paper if result else "",
        shows=entry.shows if entry else result.title if result else "",
        budget=(entry.paper if folder.name == "paper" else entry.mini if folder.name == "mini" else "")
        if entry
        else "",
        result=result,
        trouble=trouble,
        runs=tuple(runs[n] for n in unique if n in runs),
        unclaimed=sum(n not in runs for n in unique),
    )
