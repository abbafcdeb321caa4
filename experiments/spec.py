"""What a table is: rows x metrics, and the runs that fill it; equal runs exist once on disk."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from experiments.runs import Run, SampleRun, TrainRun
from lightning_mmdiff.configs import Config

Profile = Literal["smoke", "mini", "paper"]


@dataclass(frozen=True, kw_only=True)
class Metric(Config):
    """A column: the paper's name for it, and the protocol by which we measure it (which is what we call our number)."""

    column: str
    protocol: str
    better: Literal["lower", "higher"]
    description: str


@dataclass(frozen=True, kw_only=True)
class Row(Config):
    """A row: as printed in the paper, as measured by us, or both."""

    group: str = ""
    label: str
    published: dict[str, float] | None = None
    """Column -> value as printed."""
    sample: SampleRun | None = None
    why: str | None = None
    """Reason, where the row is not measured."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assert (self.sample is None) == (self.why is not None), f"{self.label}: a row is measured, or says why not"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of a paper (or ours) as a comparison of two rows on one metric."""

    id: str
    text: str
    metric: str
    """Column."""
    better: str
    """Label of the row that is claimed to be better ..."""
    worse: str
    """... than this one."""
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows x metrics, the claims they decide, and the evaluators they need."""

    name: str
    title: str
    paper: str
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    evaluators: tuple[TrainRun, ...] = ()
    """Models that only measure: face parser, attribute classifier."""
    influence: bool = False
    """Draw the influence maps of the rows whose experts collaborate."""


TableFunction = Callable[[Profile, int], Table]
"""(profile, training seed) -> table."""


def plan(tables: Iterable[Table]) -> list[Run]:
    """Runs of the tables, each once and after what it needs.

    Raises:
        UserError: if the data of a training or the sampler of samples do not fit the model.
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
