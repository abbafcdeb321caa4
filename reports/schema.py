"""Data of a report: the index, a table, its rows, its cells and its claims, as frozen values without any formatting."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reports.galleries import Figure, Gallery

PUBLISHED_SETTING = ("paper", "released")
"""Profiles at the published setting, whose numbers can agree with the paper's."""
State = Literal["measured", "not measured", "pending", "running", "stopped", "failed"]
Verdict = Literal["agrees", "differs", "within noise", "not comparable"]
Decision = Literal["holds", "fails", "undecided", "open"]
"""Outcome according to the interval; open if a row of the claim has no number."""
Interval = tuple[float, float]
Better = Literal["lower", "higher", "neither"]
"""Which scores are better; neither for numbers that only describe, such as a batch size."""
Over = Literal["images", "trainings", ""]
"""What an interval covers: other images, or other trainings too; empty without an interval."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Entry of the index: a table that can be run."""

    name: str
    """Name of its module, ``python -m experiments.<name>``, and of its folder."""
    source: str
    """Paper, and the number of the table there."""
    shows: str
    mini: str
    """Cost of the mini profile on two CPU cores, measured."""
    paper: str
    """Cost of the paper profile, estimated from published settings."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A column: the paper's name for it and the protocol that we measure it with."""

    column: str
    protocol: str
    better: Better
    description: str
    range: tuple[float | None, float | None]
    """Smallest and largest value; None where there is no bound."""
    source: str
    """Where the paper shows the column; empty if it is ours."""
    comparable: bool = False
    """Whether the paper's number can be compared with ours, unless a score knows better."""
    basis: str = ""
    """What the comparison rests on where the paper is silent, or what stands in its way."""
    explanations: tuple[str, ...] = ()
    """What in the protocol could explain a difference from the paper's number."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one run."""

    value: float
    n: int | None
    """Number of images (or pairs) behind the value."""
    interval: Interval | None
    """95% interval, bootstrap over images."""
    exact: bool = False
    """Whether it depends on no image and no training, such as a number of parameters."""
    reference: str = ""
    """Real images that all samples together are compared with: how many of which; empty if none."""
    comparable: bool | None = None
    """Whether the reference makes it comparable with the paper's number; None leaves that to its metric."""
    basis: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a run: train, sample or score."""

    run: str
    """Name of the run, which several rows may share."""
    name: str
    seconds: float | None
    """Wall-clock time, summed over resumed parts."""
    processor_seconds: float | None
    """Time of all cores of the first process, likewise; None if an older version did not measure it."""
    steps: int | None
    """Optimizer steps of a training, counted in batches."""
    images: int | None
    """Images that a training sees, repetitions included."""
    peak_memory_gib: float | None
    gpus: int
    """Number of GPUs used; 0 if it ran on the CPU."""
    energy_wh: float | None
    """Watt hours of the GPUs, if the machine reports them."""
    commit: str | None
    dirty: bool | None
    hardware: str | None
    job: str | None
    """SLURM's job number."""
    checkpoints: tuple[str, ...] = ()
    """Published files that it read, each with the beginning of its SHA-256."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One seed of one row: the contents of its folder."""

    seed: int
    name: str
    folder: Path
    state: State
    reason: str
    """Why it is not measured, or what went wrong afterwards; empty if nothing did."""
    scores: dict[str, Score]
    """Protocol -> score."""
    unmeasured: dict[str, str]
    """Protocol -> why it could not be measured on that machine."""
    replicates: dict[str, np.ndarray]
    """Protocol -> bootstrap replicates, float64 [R]."""
    config: dict[str, Any]
    paper_config: dict[str, Any] | None
    """Config of the same run under the paper profile, if that is on disk too."""
    trainings: tuple[Path, ...]
    """Folders of the models that the run needs, the deepest first."""
    stages: tuple[Stage, ...]
    """Stages of the trainings, then its own."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of the table, with its uncertainty and its comparison with the published number."""

    column: str
    protocol: str
    value: float | None
    """Mean over the seeds."""
    interval: Interval | None
    """95% interval: over images for one seed, over seeds (Student's t) for several; None for numbers without a spread."""
    over: Over
    cut: bool
    """Whether the interval ends at a bound of the metric's range that it would cross."""
    n: int | None
    """Number of images behind each seed's value; the smallest if they differ; None for exact numbers."""
    reference: str
    """Real images that all samples together are compared with: how many of which; empty if none."""
    seeds: tuple[int, ...]
    seed_values: tuple[float, ...]
    published: float | None
    printed: str
    """Published number as the paper prints it; empty if there is none."""
    verdict: Verdict | None
    """None if one of the two numbers is missing."""
    reason: str
    """Reason for the verdict or for the missing value."""
    best: bool
    """Whether this is the best measured value of its column, ceiling rows aside; no row is where many tie."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A row: as published, as measured, or both."""

    group: str
    label: str
    ceiling: bool
    """Whether the row scores real images with the same protocol: the result of a perfect model."""
    state: State
    reason: str
    cells: tuple[Cell, ...]
    """One cell for each metric of the table, in the same order."""
    runs: tuple[Run, ...]
    chosen: tuple[str, ...] = ()
    """Labels of the rows that its numbers are the best of; empty for other rows."""

    @property
    def title(self) -> str:
        """Label with its group, for places without the group's heading."""
        return f"{self.label} ({self.group})" if self.group else self.label


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Claim that one row beats another, and whether our numbers support it."""

    id: str
    text: str
    metric: str
    """Column of the metric."""
    protocol: str
    better: str
    """Row that is claimed to be better."""
    worse: str
    """Row that is claimed to be worse."""
    source: str | None
    """Where the paper makes the claim; empty if it is ours, None if an earlier version of the code did not say."""
    printed: tuple[str, str] | None
    """Published numbers of both rows, as the paper prints them."""
    contradicted: bool
    """Whether the paper's own table contradicts the claim."""
    note: str
    decision: Decision
    reason: str
    difference: float | None
    """Value of ``better`` minus value of ``worse``."""
    interval: Interval | None
    """Paired 95% interval of the difference."""
    over: Over
    n: int | None
    """Number of images of each row; None for exact numbers."""
    seeds: tuple[int, ...]
    obstacle: str
    """Why no numbers of this kind could decide the claim; empty if they can."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TableResult:
    """A table of a paper with our measurements."""

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
    figures: tuple[Figure, ...]
    """Lines over a quantity, as the paper draws them."""
    provenance: dict[str, Any]
    folder: Path
    """Folder of table.json."""

    @property
    def watermark(self) -> str:
        """Warning across a table whose numbers are meaningless."""
        return "SMOKE: meaningless numbers" if self.profile == "smoke" else ""

    @property
    def measured(self) -> tuple[Row, ...]:
        """Rows that we measured."""
        return tuple(row for row in self.rows if row.state == "measured")

    @property
    def unmeasured(self) -> tuple[Row, ...]:
        """Rows that we did not measure."""
        return tuple(row for row in self.rows if row.state != "measured")
