"""Words about claims that all renderings share: decision, difference, what is behind it, and how many are decided."""

from collections.abc import Iterable

from reports.claims import MIN_SEEDS
from reports.format import MISSING, one_line
from reports.schema import Claim

PUBLISHED, OURS, UNKNOWN = "Published claims", "Our own questions", "Published or our own"
DECISION_SYMBOLS = {"holds": "✓", "fails": "✗", "undecided": "?", "open": "…"}


def decision(claim: Claim) -> str:
    """Return the symbol and word of a decision, so that it is readable without color."""
    return f"{DECISION_SYMBOLS[claim.decision]} {claim.decision}"


def difference(claim: Claim) -> str:
    """Format a difference as ``+0.12 [+0.1, +0.14]``; empty if there is none."""
    if claim.difference is None:
        return ""
    interval = f" [{claim.interval[0]:+.3g}, {claim.interval[1]:+.3g}]" if claim.interval else ""
    return f"{claim.difference:+.3g}{interval}"


def counts(claim: Claim) -> str:
    """Return the images and seeds behind a claim; empty if there are none."""
    if not claim.seeds:
        return ""
    return f"n={claim.n}, {'seed' if len(claim.seeds) == 1 else 'seeds'} {' '.join(map(str, claim.seeds))}"


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
    """Return how many comparisons are decided, how many of these chance would decide, and how many are of too few trainings."""
    compared = [claim for claim in claims if claim.decision != "open"]
    able = [claim for claim in compared if claim.decision != "undecided" or len(claim.seeds) >= MIN_SEEDS]
    decided = sum(claim.decision != "undecided" for claim in able)
    parts = []
    if able:
        parts.append(f"{decided} of {len(able)} comparisons decided")
        parts.append(f"up to {0.05 * len(able):.2g} would be by chance if no row were better")
    if few := len(compared) - len(able):
        parts.append(
            f"{few} comparisons rest on fewer than {MIN_SEEDS} trainings, which decide nothing (--seeds {MIN_SEEDS})"
        )
    return "; ".join(parts)


def grouped(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Group claims that differ only in the metric, in the order of the first claim of each group."""
    groups: dict[tuple[str | None, ...], list[Claim]] = {}
    for claim in claims:
        key = (claim.id, claim.text, claim.better, claim.worse, claim.source, claim.note)
        groups.setdefault(key, []).append(claim)
    return list(groups.values())


def published_pair(claim: Claim) -> str:
    """Return the paper's two numbers, noting if they contradict the claim."""
    if claim.published is None:
        return MISSING
    a, b = claim.published
    return f"{a:g} vs {b:g}" + (" (contradicts the claim)" if claim.contradicted else "")
