"""Decisions on "row A is better than row B" by the paired 95% interval of the difference: holds, fails or undecided.

A claim is about methods, so three trainings of each are needed to decide it: seeds move a row up to six times as far as
another draw of the images does. With fewer, the interval is about these images and these trainings, and is shown as that.
``docs/statistics.md`` says how often such intervals hold the right value, and how often they decide between equal rows.
If a row has no number, there is nothing to decide yet and the claim is open.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.schema import Claim, Decision, Interval, Metric, Over, Row, Run
from reports.statistics import bootstrap_interval, cut, t_interval

MIN_REPLICATES = 40  # with fewer, their standard deviation is too uncertain
MIN_SEEDS = 3
"""Number of trainings that a decision takes; numbers that depend on no training need none."""
SMOKE = "smoke numbers decide nothing"
FEW = f"fewer than {MIN_SEEDS} trainings decide nothing (--seeds {MIN_SEEDS})"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Value of one row minus the value of another, or the reason why there is none."""

    value: float | None = None
    interval: Interval | None = None
    n: int | None = None
    seeds: tuple[int, ...] = ()
    reason: str = ""
    over: Over = ""
    exact: bool = False
    """Whether neither row's number depends on an image or a training."""
    alike: bool = False
    """Whether several trainings differ by the same."""


def decide(
    stored: dict[str, Any], metrics: Sequence[Metric], rows: Sequence[Row], *, meaningless: bool = False
) -> Claim:
    """Return the stored claim with its decision.

    Args:
        stored: claim of ``table.json``.
        metrics: columns of the table.
        rows: rows of the table, with their runs.
        meaningless: whether the numbers mean nothing (smoke) and decide nothing.
    """
    metric = next((m for m in metrics if m.column == stored["metric"]), None)
    better, worse = find_row(rows, stored["better"]), find_row(rows, stored["worse"])
    published, printed = _published(stored, metric, better, worse)
    if metric is None:
        difference = Difference(reason=f"the table has no column {stored['metric']!r}")
    elif better is None or worse is None:
        lost = stored["better"] if better is None else stored["worse"]
        difference = Difference(reason=f"no row, or more than one, is called {lost!r}")
    else:
        difference = compare(better, worse, metric.protocol)
    decision, reason, obstacle = outcome(difference, metric, meaningless=meaningless)
    return Claim(
        id=str(stored["id"]),
        text=str(stored["text"]),
        metric=str(stored["metric"]),
        protocol=metric.protocol if metric else "",
        better=better.title if better else str(stored["better"]),
        worse=worse.title if worse else str(stored["worse"]),
        source=stored.get("source"),
        printed=printed,
        contradicted=bool(published and metric and _side(published[0] - published[1], metric) < 0),
        note=stored.get("note") or "",
        decision=decision,
        reason=reason,
        difference=difference.value,
        interval=_possible(difference.interval, metric),
        over=difference.over,
        n=difference.n,
        seeds=difference.seeds,
        obstacle=obstacle,
    )


def find_row(rows: Sequence[Row], name: str) -> Row | None:
    """Return the only row called ``name``: its label, or ``group/label`` (also ``group: label``) if labels repeat."""
    found = [row for row in rows if row.label == name]
    if len(found) != 1:
        group_and_label = re.compile(r"\s*[/:]\s*")
        wanted = group_and_label.sub("/", name, count=1)
        found = [row for row in rows if wanted in (f"{row.group}/{row.label}", row.title)]
    return found[0] if len(found) == 1 else None


def compare(better: Row, worse: Row, protocol: str) -> Difference:
    """Return the paired difference of two rows: over images with one common seed, over trainings with several.

    Real images come from no training, and are compared with every training of the other row.
    """
    a = {run.seed: run for run in better.runs if protocol in run.scores}
    b = {run.seed: run for run in worse.runs if protocol in run.scores}
    if a and b and better.ceiling:
        a = dict.fromkeys(b, next(iter(a.values())))
    elif a and b and worse.ceiling:
        b = dict.fromkeys(a, next(iter(b.values())))
    for row, runs in ((better, a), (worse, b)):
        if not runs:
            return Difference(reason=f"{row.title} has no {protocol}: {row.reason or row.state}")
    seeds = tuple(sorted(a.keys() & b.keys()))
    if not seeds:
        return Difference(reason="the rows have no seed in common")
    differences = [a[s].scores[protocol].value - b[s].scores[protocol].value for s in seeds]
    references = {run.scores[protocol].reference for runs in (a, b) for seed, run in runs.items() if seed in seeds}
    if len(references) > 1:
        return Difference(reason=f"the rows were measured against different images: {'; '.join(sorted(references))}")
    n = a[seeds[0]].scores[protocol].n
    exact = all(run.scores[protocol].exact for runs in (a, b) for run in runs.values())
    value = float(np.mean(differences))
    if exact:
        return Difference(value=value, interval=(value, value), seeds=seeds, exact=True)
    paired = [_paired_bootstrap(a[s], b[s], protocol, d) for s, d in zip(seeds, differences)]
    interval, reason = paired[0]
    over: Over = "images" if interval else ""
    if len(seeds) > 1:
        interval, reason = t_interval(differences, [over_images for over_images, _ in paired]), ""
        over = "trainings"
    alike = len(seeds) > 1 and np.ptp(differences) <= 1e-9 * np.max(np.abs(differences))
    return Difference(value=value, interval=interval, over=over, n=n, seeds=seeds, reason=reason, alike=bool(alike))


def _paired_bootstrap(a: Run, b: Run, protocol: str, difference: float) -> tuple[Interval | None, str]:
    """Return the paired bootstrap interval, or None with the reason.

    Replicate r of both runs scores the same resampled images, so the replicates can be subtracted.
    """
    n_a, n_b = a.scores[protocol].n, b.scores[protocol].n
    if n_a is None or n_b is None:
        return None, f"metrics.json does not say of how many images {protocol} is, so nothing can be paired"
    if n_a != n_b:
        return None, f"scored on {n_a} and {n_b} images, which cannot be paired"
    replicates_a, replicates_b = a.replicates.get(protocol), b.replicates.get(protocol)
    if replicates_a is None or replicates_b is None:
        return None, f"one seed, and no bootstrap replicates of {protocol} are stored"
    if len(replicates_a) != len(replicates_b):
        return None, f"{len(replicates_a)} and {len(replicates_b)} bootstrap replicates, which cannot be paired"
    paired = replicates_a - replicates_b
    if len(paired) < MIN_REPLICATES or not np.isfinite(paired).all():
        return None, f"needs at least {MIN_REPLICATES} finite bootstrap replicates, found {np.isfinite(paired).sum()}"
    return bootstrap_interval(difference, paired, n_a), ""


def outcome(difference: Difference, metric: Metric | None, *, meaningless: bool) -> tuple[Decision, str, str]:
    """Return the decision on a difference, its reason, and why such numbers could decide nothing (empty if they could)."""
    obstacle = SMOKE if meaningless else _obstacle(difference)
    return *_decision(difference, metric, obstacle), obstacle


def _obstacle(difference: Difference) -> str:
    """Return why a difference could decide nothing, however large it were; empty if it could."""
    if difference.exact or difference.value is None or len(difference.seeds) >= MIN_SEEDS:
        return ""
    return FEW


def _decision(difference: Difference, metric: Metric | None, obstacle: str) -> tuple[Decision, str]:
    if difference.value is None:
        return "open", difference.reason
    if difference.interval is None or metric is None:
        return "undecided", difference.reason
    sides = {_side(end, metric) for end in difference.interval}
    decision: Decision = "holds" if sides == {1} else "fails" if sides == {-1} else "undecided"
    where = {"holds": "is on the claimed side", "fails": "is on the other side"}.get(decision, "contains 0")
    if obstacle == SMOKE:
        return "undecided", SMOKE
    count = len(difference.seeds)
    if obstacle:
        trainings = "one training" if count == 1 else f"{count} trainings"
        return "undecided", f"these images, {trainings}: the interval {where}; {MIN_SEEDS} trainings or more decide"
    if difference.exact:
        return decision, "exact numbers"
    if decision != "undecided" and difference.alike:
        return "undecided", f"all {count} trainings differ by the same, which does not say how much others would"
    return decision, f"the interval {where}"


def _possible(interval: Interval | None, metric: Metric | None) -> Interval | None:
    """Return the part of a difference's interval that numbers within the metric's range can have."""
    low, high = metric.range if metric else (None, None)
    if interval is None or low is None or high is None:
        return interval
    return cut(interval, low - high, high - low)


def _side(difference: float, metric: Metric) -> int:
    """Return +1 on the claimed side, -1 on the other, 0 on neither."""
    return int(np.sign(difference if metric.better == "higher" else -difference))


def _published(
    stored: dict[str, Any], metric: Metric | None, better: Row | None, worse: Row | None
) -> tuple[tuple[float, float] | None, tuple[str, str] | None]:
    """Return the pair stored with the claim, or else the pair printed in the two rows; as numbers and as printed."""
    if stored.get("published"):
        a, b = stored["published"]
        return (float(a), float(b)), (f"{a:g}", f"{b:g}")
    if metric is None or better is None or worse is None:
        return None, None
    a, b = (next(c for c in row.cells if c.column == metric.column) for row in (better, worse))
    if a.published is None or b.published is None:
        return None, None
    return (a.published, b.published), (a.printed, b.printed)
