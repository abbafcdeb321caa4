"""What a report knows: the index, a table, its rows, its cells and its claims, as frozen values without any formatting."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

State = Literal["measured", "not measured", "pending", "running", "failed"]
Verdict = Literal["agrees", "differs", "within noise", "not comparable"]
Decision = Literal["holds", "fails", "undecided", "open"]
"""By the interval; open: a row of the claim has no number."""
Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the index: a table that can be run."""

    name: str
    """Its module, and its folder: ``python -m experiments.<name>``."""
    source: str
    """Paper, and the number there."""
    shows: str
    mini: str
    """Cost of the mini profile on two CPU cores, measured."""
    paper: str
    """Cost of the paper profile, estimated from published settings."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A column: the paper's name for it and the protocol by which we measure it."""

    column: str
    protocol: str
    better: Literal["lower", "higher"]
    description: str


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one run."""

    value: float
    n: int | None
    """Images (or pairs) behind the value."""
    interval: Interval | None
    """95%, bootstrap over images."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a run: train, sample or score."""

    run: str
    """Name of the run, which several rows may share."""
    name: str
    seconds: float | None
    """Wall clock, resumed parts added up."""
    peak_memory_gib: float | None
    gpus: int
    """GPUs that it used; 0 where it ran on the processor."""
    energy_wh: float | None
    """Watt hours of the GPUs, where the machine tells."""
    commit: str | None
    dirty: bool | None
    hardware: str | None
    job: str | None
    """SLURM's number."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One seed of one row: what its folder holds."""

    seed: int
    name: str
    folder: Path
    state: State
    reason: str
    """Why it is not measured, or what went wrong after it was; empty if nothing did."""
    scores: dict[str, Score]
    """Protocol -> score."""
    unmeasured: dict[str, str]
    """Protocol -> why it could not be measured on that machine."""
    replicates: dict[str, np.ndarray]
    """Protocol -> bootstrap replicates, float64 [R]."""
    config: dict[str, Any]
    paper_config: dict[str, Any] | None
    """The same run under the paper profile, where that is on disk too."""
    trainings: tuple[Path, ...]
    """Folders of the models that it needs, the deepest first."""
    stages: tuple[Stage, ...]
    """Those of the trainings, then its own."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of the table, with how sure it is and how it compares with the published one."""

    column: str
    protocol: str
    value: float | None
    """Mean over the seeds."""
    interval: Interval | None
    """95%: over images for one seed, over seeds (Student's t) for several."""
    n: int | None
    """Images behind each seed's value; the smallest, if they differ."""
    seeds: tuple[int, ...]
    seed_values: tuple[float, ...]
    published: float | None
    verdict: Verdict | None
    """None where one of the two numbers is missing."""
    reason: str
    """What the verdict, or the missing value, rests on."""
    best: bool
    """Best measured value of its column, ceiling rows aside."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A row: as published, as measured, or both."""

    group: str
    label: str
    ceiling: bool
    """Real images scored by the same protocol: what a perfect model would get."""
    state: State
    reason: str
    cells: tuple[Cell, ...]
    """One for each metric of the table, in its order."""
    runs: tuple[Run, ...]

    @property
    def title(self) -> str:
        """Label with its group, for places where the group's heading is not in sight."""
        return f"{self.label} ({self.group})" if self.group else self.label


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Who beats whom, and whether our numbers say so too."""

    id: str
    text: str
    metric: str
    """Column."""
    protocol: str
    better: str
    """Row that is claimed to be better ..."""
    worse: str
    """... than this one."""
    published: tuple[float, float] | None
    contradicted: bool
    """The paper's own table says otherwise."""
    note: str
    decision: Decision
    reason: str
    difference: float | None
    """Value of ``better`` minus value of ``worse``."""
    interval: Interval | None
    """95% interval of the difference, paired."""
    n: int | None
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """A sheet of images."""

    title: str
    caption: str
    file: Path


@dataclass(frozen=True, kw_only=True, eq=False)
class TableResult:
    """A table of a paper with what we measured."""

    name: str
    title: str
    paper: str
    profile: str
    notes: tuple[str, ...]
    command: str
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    galleries: tuple[Gallery, ...]
    provenance: dict[str, Any]
    folder: Path
    """Where table.json lies."""

    @property
    def watermark(self) -> str:
        """What stands across a table whose numbers nobody should read."""
        return "SMOKE: meaningless numbers" if self.profile == "smoke" else ""

    @property
    def measured(self) -> tuple[Row, ...]:
        """Rows with numbers of ours."""
        return tuple(row for row in self.rows if row.state == "measured")

    @property
    def unmeasured(self) -> tuple[Row, ...]:
        """Rows without."""
        return tuple(row for row in self.rows if row.state != "measured")
