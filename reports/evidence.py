"""Words about claims that all renderings share: decision, difference, what is behind it, and how many are decided."""

from collections import Counter
from collections.abc import Iterable

from reports.format import MISSING, one_line
from reports.schema import Claim

PUBLISHED, OURS, UNKNOWN = "Published claims", "Our own questions", "Published or our own"
DECISION_SYMBOLS = {"holds": "✓", "fails": "✗", "undecided": "?", "open": "…"}
"""Symbol of each decision; a claim is open while one of its rows has no number."""
NOTHING = 1e-4
"""An undecided difference below this is shown as about zero."""

RULE = (
    "A claim holds if the whole 95% interval of the paired difference is on the claimed side, fails if it is on the other, "
    "and is undecided otherwise. Three trainings or more decide, by Student's t over the seeds. With one, the interval is a "
    "bootstrap over these images and decides nothing. Exact numbers need no interval."
)


def decision(claim: Claim) -> str:
    """Return the symbol and word of a decision, so that it is readable without color."""
    return f"{DECISION_SYMBOLS[claim.decision]} {claim.decision}"


def difference(claim: Claim) -> str:
    """Format a difference as ``+0.12 [+0.1, +0.14]``, or say that nothing spreads; empty if there is none."""
    if claim.difference is None:
        return ""
    value, ends = f"{claim.difference:+.3g}", claim.interval if claim.over else None
    if ends is None:
        return value
    return f"{value} [{ends[0]:+.3g}, {ends[1]:+.3g}]" if ends[0] != ends[1] else f"{value} (all {claim.over} alike)"


def counts(claim: Claim) -> str:
    """Return the images and seeds behind a claim and what its interval covers; empty if there are none."""
    if not claim.seeds:
        return ""
    images = "exact" if claim.n is None else f"n={claim.n}"
    seeds = f"{'seed' if len(claim.seeds) == 1 else 'seeds'} {' '.join(map(str, claim.seeds))}"
    return ", ".join([images, seeds, *([f"over {claim.over}"] if claim.over else [])])


def sentence(claim: Claim) -> str:
    """Return the numbers behind a decision as one sentence."""
    text = f"{claim.protocol or claim.metric}: {claim.better} − {claim.worse}"
    text += f" = {difference(claim)}" if claim.difference is not None else ""
    text += f", {counts(claim)}" if claim.seeds else ""
    return text + (f"; {one_line(claim.reason, 200)}" if claim.reason else "")


def source(claim: Claim) -> str:
    """Return where the paper makes a claim, or that it is ours; empty if an earlier version of the code did not say."""
    return "" if claim.source is None else claim.source or "ours"


def by_source(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    """Return heading -> claims: published ones, ours, and those of earlier versions of the code, which did not say."""
    headings: dict[str, list[Claim]] = {PUBLISHED: [], OURS: [], UNKNOWN: []}
    for claim in claims:
        headings[UNKNOWN if claim.source is None else PUBLISHED if claim.source else OURS].append(claim)
    return {heading: found for heading, found in headings.items() if found}


def tally(claims: Iterable[Claim]) -> str:
    """Return how many comparisons are decided, how many chance would decide, and why others cannot be."""
    compared = [claim for claim in claims if claim.decision != "open"]
    if not compared:
        return "nothing to compare yet"
    decided = sum(claim.decision != "undecided" for claim in compared)
    parts = [f"{decided} of {len(compared)} comparisons decided"]
    if chances := sum(not claim.obstacle and bool(claim.over) for claim in compared):
        parts.append(f"up to {0.05 * chances:.2g} would be by chance if no row were better")
    obstacles = Counter(claim.obstacle for claim in compared if claim.obstacle)
    return "; ".join([*parts, *(f"{count} cannot be, as {obstacle}" for obstacle, count in obstacles.items())])


def grouped(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Group claims that differ only in the metric, in the order of the first claim of each group."""
    groups: dict[tuple[str | None, ...], list[Claim]] = {}
    for claim in claims:
        key = (claim.id, claim.text, claim.better, claim.worse, claim.source, claim.note)
        groups.setdefault(key, []).append(claim)
    return list(groups.values())


def published_pair(claim: Claim) -> str:
    """Return the paper's two numbers, noting if they contradict the claim."""
    if claim.printed is None:
        return MISSING
    return " vs ".join(claim.printed) + (" (contradicts the claim)" if claim.contradicted else "")


def plain_difference(claim: Claim) -> str:
    """Return the difference alone, short enough for a pill, with a real minus; empty if there is none."""
    if claim.difference is None:
        return ""
    if claim.decision == "undecided" and abs(claim.difference) < NOTHING:
        return "≈0"
    return f"{claim.difference:+.3g}".replace("-", "−")


def legend(claims: Iterable[Claim]) -> str:
    """Explain the symbols of the decisions that occur."""
    words = {"holds": "holds", "fails": "fails", "undecided": "undecided", "open": "a row has no number yet"}
    found = {claim.decision for claim in claims}
    return ", ".join(f"{symbol} {words[d]}" for d, symbol in DECISION_SYMBOLS.items() if d in found) + "."
