"""The verdict of a table in a sentence or two, made from its claims alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports import evidence
from reports.schema import Claim, Decision, TableResult

PHRASES: dict[Decision, str] = {"holds": "hold", "fails": "fail", "undecided": "are undecided"}


@dataclass(frozen=True)
class Words:
    """A piece of the verdict."""

    text: str
    strong: bool = False


def verdict(table: TableResult) -> list[Words]:
    """Return what holds and what fails: the paper's claims by metric, then our own questions by number."""
    if table.watermark:
        return [Words("A smoke run: ", True), Words("it shows that everything works; its numbers mean nothing.")]
    if not table.measured:
        return [Words("Nothing is measured yet", True), Words(f", {len(table.unmeasured)} rows wait.")]
    if not table.claims:
        return [
            Words("Nobody claims anything here that numbers could decide; "),
            Words("the table is below", True),
            Words("."),
        ]
    sides = {True: [], False: []}  # type: dict[bool, list[Claim]]
    for claim in table.claims:
        sides[claim.source != ""].append(claim)
    words = _published(sides[True], table) if sides[True] else []
    return [*words, *(_ours(sides[False], alone=not words))]


def _published(claims: Sequence[Claim], table: TableResult) -> list[Words]:
    compared = [claim for claim in claims if claim.decision != "open"]
    if not compared:
        return [
            Words("None of the paper's claims can be looked at yet", True),
            Words(": their rows are not measured. "),
        ]
    if all(claim.obstacle for claim in compared):
        seeds = max(len(claim.seeds) for claim in compared)
        trainings = "one training" if seeds == 1 else f"{seeds} trainings"
        agree = sum(points_as_claimed(claim, table) for claim in compared)
        return [
            Words("The paper's claims are undecided", True),
            Words(f": {trainings} of each row cannot decide them. In {agree} of {len(compared)} comparisons the numbers of "
                  f"{'this training' if seeds == 1 else 'these trainings'} point the claimed way. "),
        ]  # fmt: skip
    clauses = [_clause(name, [c for c in compared if (c.protocol or c.metric) == name])
               for name in dict.fromkeys(c.protocol or c.metric for c in compared)]  # fmt: skip
    words = [Words("The paper's claims ")]
    for i, clause in enumerate(clauses):
        words += [Words("" if not i else " and " if i == len(clauses) - 1 else ", "), *clause]
    waiting = len(claims) - len(compared)
    return [*words, Words(f"; {waiting} more wait for rows that are not measured. " if waiting else ". ")]


def _clause(metric: str, claims: Sequence[Claim]) -> list[Words]:
    """Return ``hold on mIoU`` with the counts, or what share of them holds."""
    counts = Counter(claim.decision for claim in claims)
    if len(counts) == 1:
        (decision,) = counts
        return [Words(f"{PHRASES[decision]} on {metric}", True), Words(f" ({_comparisons(len(claims))})")]
    return [Words(f"are mixed on {metric}", True), Words(f" ({_counted(counts)})")]


def _ours(claims: Iterable[Claim], *, alone: bool) -> list[Words]:
    counts: Counter[Decision] = Counter(claim.decision for claim in claims if claim.decision != "open")
    if not counts:
        return []
    start = "Of the comparisons that we ask for (no paper does), " if alone else "Of our own comparisons, "
    return [Words(start), Words(_counted(counts), alone), Words(".")]


def _counted(counts: Mapping[Decision, int]) -> str:
    """Return ``2 hold, 1 fails``."""
    singular: dict[Decision, str] = {"holds": "holds", "fails": "fails", "undecided": "is undecided"}
    return ", ".join(f"{counts[d]} {(singular if counts[d] == 1 else PHRASES)[d]}" for d in PHRASES if counts.get(d))


def _comparisons(count: int) -> str:
    return "1 comparison" if count == 1 else f"all {count} comparisons"


def points_as_claimed(claim: Claim, table: TableResult) -> bool:
    """Return whether the difference alone, whatever its interval, lies on the claimed side."""
    better = next((metric.better for metric in table.metrics if metric.column == claim.metric), "higher")
    difference = claim.difference or 0.0
    return difference > 0 if better == "higher" else difference < 0


def tally(claims: Iterable[Claim]) -> dict[str, Counter[str]]:
    """Return how many claims hold, fail, ..., the papers' apart from ours; a claim on several metrics counts once.

    It holds if it holds on one metric at least and fails on none, and the other way round; if it does both it is mixed.
    """
    found: dict[str, Counter[str]] = {}
    for heading, of_source in evidence.by_source(claims).items():
        found[heading] = Counter(_overall(same) for same in evidence.grouped(of_source))
    return found


def _overall(same: Sequence[Claim]) -> str:
    decisions = {claim.decision for claim in same}
    if decisions == {"open"}:
        return "open"
    if {"holds", "fails"} <= decisions:
        return "mixed"
    return next((d for d in ("holds", "fails") if d in decisions), "undecided")
