"""How often 95% intervals hold the right value, and how often equally good rows are told apart, by simulation.

Every number comes from the code of the metrics and of the reports. A line is measured in trials: two equally good rows with five
trainings each, on common test conditions. Trainings move a row by a normal amount, in units of its standard error over images.

    python -m benchmarks.intervals --trials 100 --n 8 64 256
    python -m benchmarks.intervals --only SSIM --n 256 --write   # puts the lines into docs/statistics.md
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from benchmarks import interval_page as page
from benchmarks.worlds import REPLICATES, WORLDS, World, narrow_and_wide
from lightning_mmdiff.metrics.results import MetricResult
from lightning_mmdiff.runtime.commands import readable_end
from reports.claims import MIN_SEEDS, decide
from reports.schema import Claim, Metric, Row, Run, Score
from reports.statistics import t_interval

Array = NDArray[np.float64]
Trial = Sequence[Sequence[MetricResult]]  # [row][training]
SEEDS = (3, 5)
MOVED = (1.9, 6.3)
"""How far trainings moved rows at mini, in standard errors over images: Frechet distances the least, SSIM the most."""
REDRAWN = 2  # times that the effects of trainings are drawn for each trial
COLUMNS = (
    "covered, 1 training", "covered, 3", "covered, 5", "apart, 0", "apart, 1.9", "apart, 6.3", "decided, 3", "decided, 5"
)  # fmt: skip
BANDS = {**dict.fromkeys(COLUMNS[:3], False), COLUMNS[3]: True, **dict.fromkeys(COLUMNS[6:], True)}
"""Columns that have a band -> whether it is that of decisions. With one training, nothing is decided."""
HEADER = ("metric", "n", "trials", "value", *COLUMNS)
NARROW = (
    "narrow against wide",
    "n",
    "trials",
    "narrow",
    "wide",
    "apart, 1 training",
    "narrow wins, 3",
    "narrow wins, 5",
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What happened to one metric at one number of images."""

    protocol: str
    n: int
    values: Array
    """Of every set of images, [trials, 2, trainings]."""
    rates: dict[str, Array] = field(default_factory=dict)
    """For each of ``COLUMNS``, the share of cases in each trial, [trials]."""

    def rate(self, column: str) -> float:
        """Return the share of cases over all trials."""
        return float(self.rates[column].mean())

    def error(self, column: str) -> float:
        """Return the standard error of ``rate``; cases of one trial share their conditions, so trials count."""
        shares = self.rates[column]
        return float(shares.std(ddof=1) / np.sqrt(len(shares)))

    def outside(self) -> list[str]:
        """Return the columns whose rate is outside its band; there is none for very few images."""
        if self.n < page.LEAST:
            return []
        return [c for c, d in BANDS.items() if page.outside(self.rate(c), self.error(c), decided=d)]

    def cells(self) -> list[str]:
        """Return the line of the table, rates outside their bands in bold."""
        marked = self.outside()
        rates = (f"**{self.rate(c):.3f}**" if c in marked else f"{self.rate(c):.3f}" for c in COLUMNS)
        return [self.protocol, str(self.n), str(len(self.values)), f"{self.values.mean():.3g}", *rates]


def row(label: str, results: Sequence[MetricResult], effects: Sequence[float]) -> Row:
    """Return a row of a report, one training for each of ``results``, whose value its training moves by an effect."""
    runs = tuple(
        Run(
            seed=seed, name=f"{label}-{seed}", folder=Path(), state="measured", reason="",
            scores={r.protocol: Score(value=r.value + effect, n=r.n, interval=None)}, unmeasured={},
            replicates={r.protocol: r.replicates + effect}, config={}, paper_config=None, trainings=(), stages=(),
        )
        for seed, (r, effect) in enumerate(zip(results, effects))
    )  # fmt: skip
    return Row(group="", label=label, ceiling=False, state="measured", reason="", cells=(), runs=runs)


def claim(a: Sequence[MetricResult], b: Sequence[MetricResult], effects: Array | None = None) -> Claim:
    """Return the decided claim that row a is better than row b.

    Args:
        a: result of each training of one row.
        b: the same of the other.
        effects: what trainings add to the values, [2, trainings]; nothing if None.
    """
    added = np.zeros((2, len(a))) if effects is None else effects
    metric = Metric(
        column="m",
        protocol=a[0].protocol,
        better=a[0].better,
        description="",
        range=(None, None),
        source="",
        comparable=False,
    )
    stored = {"id": "", "text": "", "metric": "m", "better": "a", "worse": "b", "published": (1, 2)}
    return decide(stored, (metric,), (row("a", a, added[0]), row("b", b, added[1])))


def apart(found: Claim) -> bool:
    """Return whether the interval of the difference leaves 0 out, whatever the decision."""
    assert found.interval is not None
    return not found.interval[0] <= 0 <= found.interval[1]


def measure(world: World, n: int, trials: int) -> list[Line]:
    """Return a line for each result of ``world``."""
    drawn = [world.trial(np.random.default_rng([trial, n]), n, max(SEEDS)) for trial in range(trials)]
    count = len(drawn[0][0][0])
    return [line([[[r[i] for r in results] for results in trial] for trial in drawn]) for i in range(count)]


def line(trials: Sequence[Trial]) -> Line:
    """Return the line of one metric."""
    first = trials[0][0][0]
    values = np.array([[[r.value for r in results] for results in trial] for trial in trials])
    found = Line(protocol=first.protocol, n=first.n, values=values)
    truth, error = values.mean(), values.std(ddof=1)
    rng = np.random.default_rng(0)
    cases = [[_case(trial, truth, error, rng) for _ in range(REDRAWN)] for trial in trials]
    for column in COLUMNS:
        found.rates[column] = np.array([np.mean([case[column] for case in redrawn]) for redrawn in cases])
    return found


def _case(trial: Trial, truth: float, error: float, rng: np.random.Generator) -> dict[str, float]:
    """Return the share of hits of each of ``COLUMNS`` in one trial, for one draw of what trainings do."""
    normal = rng.standard_normal((2, max(SEEDS)))
    little, much = (moved * error * normal for moved in MOVED)
    a, b = trial
    rates: dict[str, Any] = {
        COLUMNS[0]: np.mean([_covers(r.to_json()["interval"], truth) for results in trial for r in results])
    }
    for seeds in SEEDS:
        rates[f"covered, {seeds}"] = np.mean([_row_covers(r[:seeds], e[:seeds], truth) for r, e in zip(trial, little)])
        decision = claim(a[:seeds], b[:seeds], little[:, :seeds]).decision
        rates[f"decided, {seeds}"] = decision in ("holds", "fails")
    for column, effects in zip(COLUMNS[3:6], (0 * normal, little, much)):
        ones = [claim(a[i : i + 1], b[i : i + 1], effects[:, i : i + 1]) for i in range(max(SEEDS))]
        assert all(one.decision == "undecided" for one in ones), "one training decides nothing"
        rates[column] = np.mean([apart(one) for one in ones])
    return {column: float(rate) for column, rate in rates.items()}


def _row_covers(results: Sequence[MetricResult], effects: Array, truth: float) -> bool:
    values = [r.value + effect for r, effect in zip(results, effects)]
    return _covers(t_interval(values, [tuple(r.to_json()["interval"]) for r in results]), truth)


def _covers(bounds: Sequence[float], truth: float) -> bool:
    return bool(bounds[0] <= truth <= bounds[1])


def narrow_wins(n: int, trials: int) -> list[str]:
    """Return the line of two models with the same Frechet distance in the limit, of which one varies less."""
    decided, means = {1: 0.0, **dict.fromkeys(SEEDS, 0.0)}, np.zeros(2)
    for trial in range(trials):
        rng = np.random.default_rng([trial, n])
        narrow, wide = narrow_and_wide(rng, n, max(SEEDS))
        values = np.array([[r.value for r in results] for results in (narrow, wide)])
        means += values.mean(axis=1) / trials
        effects = MOVED[0] * np.std(narrow[0].replicates) * rng.standard_normal((2, max(SEEDS)))
        one = claim(narrow[:1], wide[:1])
        decided[1] += (apart(one) and values[0, 0] < values[1, 0]) / trials
        for seeds in SEEDS:
            decided[seeds] += (claim(narrow[:seeds], wide[:seeds], effects[:, :seeds]).decision == "holds") / trials
    return ["Frechet distance", str(n), str(trials), *(f"{x:.3f}" for x in (*means, *decided.values()))]


@dataclass(frozen=True, kw_only=True)
class IntervalFlags:
    """Settings of the simulation."""

    trials: int = 100
    """Number of trials of each line."""
    n: tuple[int, ...] = (8, 64, 256)
    """Numbers of images."""
    only: tuple[str, ...] = ("",)
    """Parts of the names of the worlds to simulate; "narrow" for the second table."""
    write: bool = False
    """Put the lines into docs/statistics.md, in place of those of the same metric and number of images."""


def tables(rows: Sequence[Sequence[str]], narrow: Sequence[Sequence[str]]) -> list[str]:
    """Return both tables, and between them why some rates are outside their bands."""
    few = [float(row[4]) for row in rows if int(row[1]) < page.LEAST]
    about_few = (
        f"Of fewer images, one training's intervals hold the value {min(few):.3f} to {max(few):.3f} of the time."
        if few
        else ""
    )
    about = [page.WHAT_IS_BOLD, "", *page.reasons(rows), "", about_few]
    return ["", *page.table(HEADER, rows), "", *about, "", *page.table(NARROW, narrow), ""]


def main(flags: IntervalFlags) -> None:
    torch.set_num_threads(1)
    print(f"{REPLICATES} replicates; a claim is decided by {MIN_SEEDS} trainings or more", flush=True)
    rows, narrow = [], []
    for world in WORLDS:
        if any(name in world.name for name in flags.only):
            rows += [one.cells() for n in flags.n for one in measure(world, n, flags.trials)]
            print(world.name, flush=True)
    if any(name in "narrow" for name in flags.only):
        narrow = [narrow_wins(n, flags.trials) for n in flags.n]
    print("\n".join(tables(rows, narrow)), flush=True)
    if flags.write:
        old = page.block()
        page.write(tables(page.merged(page.rows_of(old, HEADER), rows), page.merged(page.rows_of(old, NARROW), narrow)))


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(IntervalFlags, description=__doc__))
