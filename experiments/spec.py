"""The definition of a table: rows x metrics, and the runs that fill it; equal runs exist only once on disk."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments import Profile
from experiments.runs import Run, SampleRun, TrainRun
from lightning_mmdiff.configs import Config
from lightning_mmdiff.methods.config import ExpertUse
from reports.galleries import Figure

Range = tuple[float | None, float | None]
"""Smallest and largest value that a metric can have; None where there is no bound."""
UNBOUNDED: Range = (None, None)


@dataclass(frozen=True, kw_only=True)
class Metric(Config):
    """A column: the paper's name for it, and the protocol that measures it (whose name is our name for the number)."""

    column: str
    protocol: str
    better: Literal["lower", "higher", "neither"]
    description: str
    range: Range = UNBOUNDED
    source: str = ""
    """Where the paper shows the column, if not as numbers of the table's rows; see ``Table.source_of``."""
    comparable: bool = False
    """Whether the paper's number can be compared with ours; a measured result may know better."""
    basis: str = ""
    """What the comparison rests on where the paper is silent, or what stands in its way."""
    explanations: tuple[str, ...] = ()
    """What in the protocol could explain a difference from the paper's number (PITFALLS)."""


@dataclass(frozen=True, kw_only=True)
class Row(Config):
    """A row: printed in the paper, measured by us, or both."""

    group: str = ""
    label: str
    published: dict[str, float] | None = None
    """Column -> printed value."""
    sample: SampleRun | None = None
    why: str | None = None
    """Reason why the row is not measured."""
    best_of: tuple[str, ...] = ()
    """Labels of rows of which this one has the best value in each column."""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = (self.sample is not None) + (self.why is not None) + bool(self.best_of)
        assert given == 1, f"{self.label}: a row is measured, or the best of others, or says why not"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement of a paper (or ours) as a comparison of two rows on one metric."""

    id: str
    text: str
    metric: str
    """Column to compare."""
    better: str
    """Label of the row claimed to be better ..."""
    worse: str
    """... than the row with this label."""
    source: str = ""
    """Where the paper says so; empty if the claim is ours."""
    note: str | None = None


def our_claims(comparisons: Iterable[tuple[str, str, str]], columns: Sequence[str]) -> tuple[Claim, ...]:
    """Return claims that no paper makes: for each (text, better row, worse row) one on each of ``columns``."""
    return tuple(
        Claim(id="ours", text=text, metric=column, better=better, worse=worse)
        for text, better, worse in comparisons
        for column in columns
    )


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Experts whose predictions a figure compares over time, with each other and with a model of all conditions."""

    united: SampleRun
    """United by Eq. 10."""
    joint: ExpertUse | None = None
    """A model trained on all conditions together."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows x metrics, the claims they decide and the evaluators they need."""

    name: str
    title: str
    paper: str
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    evaluators: tuple[TrainRun, ...] = ()
    """Models used only to measure: face parser, attribute classifier."""
    figures: tuple[Figure, ...] = ()
    """Lines over a quantity, if the paper draws its rows so."""
    influence: bool = False
    """Whether to draw the influence maps of the rows whose experts collaborate."""
    agreement: Agreement | None = None
    """Experts to compare over time in a figure."""

    def source_of(self, metric: Metric) -> str:
        """Return where the paper shows a column; empty if the column is ours."""
        printed = any(metric.column in (row.published or ()) for row in self.rows)
        return metric.source or (self.paper if printed else "")


def trainings(agreement: Agreement) -> tuple[TrainRun, ...]:
    """Return the trained models that a figure of agreement needs."""
    joint = [agreement.joint.run] if agreement.joint else []
    return (*agreement.united.needs, *(run for run in joint if isinstance(run, TrainRun)))


TableFunction = Callable[[Profile, int], Table]
"""(profile, training seed) -> table."""


def plan(tables: Iterable[Table]) -> list[Run]:
    """Return the runs of the tables, each once and after the runs it needs.

    Raises:
        UserError: if the data of a training run or the sampler of a sample run do not fit the model.
    """
    order: dict[Run, None] = {}

    def visit(run: Run) -> None:
        for need in run.needs:
            visit(need)
        run.check()
        order[run] = None

    for table in tables:
        for evaluator in table.evaluators:
            visit(evaluator)
        for row in table.rows:
            if row.sample:
                visit(row.sample)
    names = [r.name for r in order]
    twice = sorted({n for n in names if names.count(n) > 1})
    assert not twice, f"different runs share the name {twice}"
    return list(order)
