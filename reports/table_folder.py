"""Paths in the folder of a table: the only place that names its files."""

from dataclasses import dataclass
from pathlib import Path


def tables_folder(profile: Path) -> Path:
    """Return the folder of all tables of a profile, ``<out>/<profile>``."""
    return profile / "tables"


@dataclass(frozen=True)
class TableFolder:
    """Paths of the files of one table, ``<out>/<profile>/tables/<name>``."""

    path: Path

    @classmethod
    def of(cls, profile: Path, name: str) -> "TableFolder":
        """Return the folder of one table of a profile."""
        return cls(tables_folder(profile) / name)

    @classmethod
    def written(cls, profile: Path) -> list["TableFolder"]:
        """Return the folders of all tables of a profile that have a table.json, in alphabetical order."""
        return [cls(path.parent) for path in sorted(tables_folder(profile).glob("*/table.json"))]

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.path.name

    @property
    def table(self) -> Path:
        """Rows, metrics and claims, and the runs behind them; written first."""
        return self.path / "table.json"

    @property
    def paper(self) -> Path:
        """Settings of the paper profile for each run, for comparison with the run's own."""
        return self.path / "paper.json"

    @property
    def costs(self) -> Path:
        """Time and memory of the table's command, if one pass made it from its start to its report."""
        return self.path / "costs.json"

    @property
    def metrics(self) -> Path:
        """Numbers and decided claims as plain values."""
        return self.path / "metrics.json"

    @property
    def markdown(self) -> Path:
        """Table as Markdown."""
        return self.path / "table.md"

    @property
    def latex(self) -> Path:
        """Measured rows as LaTeX, for a paper."""
        return self.path / "table.tex"

    @property
    def full_latex(self) -> Path:
        """All that is known as LaTeX."""
        return self.path / "table-full.tex"

    @property
    def csv(self) -> Path:
        """Every cell with every field."""
        return self.path / "table.csv"

    @property
    def replicates(self) -> Path:
        """Bootstrap replicates of every run of the table, ``row number/seed/protocol`` -> float32 [R]."""
        return self.path / "replicates.npz"

    def notebook(self, name: str) -> Path:
        """Return the path of the executed report, which keeps the name of the table wherever it is copied."""
        return self.path / f"{name}.ipynb"

    def page(self, name: str) -> Path:
        """Return the path of the report as one HTML file."""
        return self.path / f"{name}.html"
