"""Claims by metric: a line for each claim, a decision for each metric; the paper's above ours."""

from collections.abc import Iterable
from dataclasses import dataclass

from reports import codes, evidence
from reports.format import ARROWS
from reports.schema import Claim, TableResult


@dataclass(frozen=True, kw_only=True)
class Line:
    """One claim on all its metrics."""

    text: str
    note: str
    on: dict[str, Claim]
    """Protocol -> the claim there."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Lines under one heading."""

    heading: str
    published: bool
    lines: tuple[Line, ...]


def parts(claims: Iterable[Claim]) -> list[Part]:
    """Return the claims under what their codes mean, published ones first."""
    found = []
    for whose, of_source in evidence.by_source(claims).items():
        by_code: dict[tuple[str, str], list[list[Claim]]] = {}
        for same in evidence.grouped(of_source):
            by_code.setdefault((same[0].id, same[0].source or ""), []).append(same)
        found += [
            Part(heading=_heading(code, where), published=whose != evidence.OURS, lines=tuple(map(_line, groups)))
            for (code, where), groups in by_code.items()
        ]
    return found


def _heading(code: str, where: str) -> str:
    """Return ``UC4: ours beats one condition alone (Sec. 5)``; codes that are words of ours are replaced by what they mean."""
    words = codes.meaning(code)
    if not where and words and code in ("ours", "fair", "four"):
        return f"{words[0].upper()}{words[1:]} (not in the paper)"
    return (f"{code}: {words}" if words else code) + (f" ({where})" if where else " (not in the paper)")


def _line(same: list[Claim]) -> Line:
    return Line(text=same[0].text, note=same[0].note, on={claim.protocol or claim.metric: claim for claim in same})


def columns(table: TableResult) -> list[tuple[str, str]]:
    """Return name and direction of the metrics that claims are about, in the order of the table."""
    asked = dict.fromkeys(claim.protocol or claim.metric for claim in table.claims)
    known = {metric.protocol: ARROWS[metric.better] for metric in table.metrics}
    return [(name, known[name]) for name in known if name in asked] + [(n, "") for n in asked if n not in known]
