"""Decisions of a recorded table that other runs of it speak against.

One training decides nothing, so its runs speak by the interval of the difference: against a decision if all of it is on the
other side.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from reports import evidence
from reports.schema import Claim, TableResult

Finding = Literal["contradicted", "other side", "same side", "no numbers"]
MEANING: dict[Finding, str] = {
    "contradicted": "contradicted: the whole interval here is on the other side",
    "other side": "with a difference on the other side that may be none",
    "same side": "with one on the same side",
    "no numbers": "without numbers here",
}


def findings(table: TableResult, recorded: TableResult) -> Iterator[tuple[Finding, str]]:
    """Yield what the differences of ``table`` say of each decision of a recorded table, and the numbers of both in words.

    A decision on two equal numbers cannot be contradicted by a sign and is left out.
    """
    here = {_key(claim): claim for claim in table.claims}
    for claim in recorded.claims:
        if claim.decision in ("holds", "fails") and claim.difference:
            other = here.get(_key(claim))
            words = f"{claim.id} {claim.decision}, {evidence.sentence(claim)}"
            known = other is not None and other.difference is not None
            words += f"; here {evidence.difference(other)} ({evidence.counts(other)})" if other and known else ""
            yield _finding(claim.difference, other), words


def _finding(decided: float, other: Claim | None) -> Finding:
    if other is None or other.difference is None:
        return "no numbers"
    ends = other.interval or (other.difference, 0.0)
    if all(end * decided < 0 for end in ends):
        return "contradicted"
    return "other side" if other.difference * decided < 0 else "same side"


def _key(claim: Claim) -> tuple[str, str, str, str]:
    return claim.id, claim.protocol, claim.better, claim.worse


def text(table: TableResult, recorded: TableResult) -> str:
    """Return the decisions of a recorded table by what other runs say of them, counted, and those listed that do not agree."""
    found = list(findings(table, recorded))
    counts = Counter(finding for finding, _ in found)
    lines = [f"{table.name}: {len(found)} decisions of the recording"]
    lines += [f"  {counts[finding]} {meaning}" for finding, meaning in MEANING.items() if counts[finding]]
    return "\n".join(
        lines + [f"{finding}: {words}" for f in MEANING for finding, words in found if f == finding != "same side"]
    )


def count(table: TableResult, recorded: TableResult) -> int:
    """Return how many decisions of a recorded table other runs contradict."""
    return sum(finding == "contradicted" for finding, _ in findings(table, recorded))
