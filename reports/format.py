"""Words and digits that every rendering shares, and the escaping of text for each."""

import html
import math
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reports.schema import Cell, Claim, Interval, Row, TableResult

VERDICT_SYMBOLS = {"agrees": "=", "within noise": "≈", "differs": "≠", "not comparable": "n/c"}
DECISION_SYMBOLS = {"holds": "✓", "fails": "✗", "undecided": "?", "open": "…"}
MISSING = "—"

_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "[": "{[}",  # after a line break of a tabular, [ and * would be its arguments
    "*": "{*}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "—": "---",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "−": "$-$",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~$])")


def escape_html(text: object) -> str:
    """Text for HTML, attributes included."""
    return html.escape(str(text), quote=True)


def escape_latex(text: object) -> str:
    """Text for LaTeX, on one line."""
    return "".join(_LATEX.get(c, c) for c in one_line(text))


def escape_markdown(text: object) -> str:
    """Text for Markdown (table cells included), on one line; no character of it is markup or HTML."""
    return _MARKDOWN.sub(r"\\\1", html.escape(one_line(text), quote=False))


def one_line(text: object, limit: int | None = None) -> str:
    """Text without line breaks, shortened to ``limit`` characters if it is longer."""
    line = " ".join(str(text).split())
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def number(value: float | None, decimals: int) -> str:
    """Fixed decimals, or a dash."""
    return MISSING if value is None else f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus before a zero


def interval(pair: Interval | None, decimals: int) -> str:
    """``[low, high]``; empty where there is none, or where the number is exact."""
    return "" if pair is None or pair[0] == pair[1] else f"[{number(pair[0], decimals)}, {number(pair[1], decimals)}]"


def decimals(table: TableResult, column: int) -> tuple[int, int]:
    """Decimals of the measured and of the published numbers of a column."""
    cells = [row.cells[column] for row in table.rows]
    largest = max((abs(c.value) for c in cells if c.value is not None), default=0.0)
    measured = 3 if largest < 2 else 2 if largest < 100 else 1
    published = (len(repr(float(c.published)).partition(".")[2].rstrip("0")) for c in cells if c.published is not None)
    return measured, min(max(published, default=0), 4)


def seconds(value: float) -> str:
    """``95`` -> ``1 min 35 s``."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{value:.3g} s"


def made_from(row: Row) -> str:
    """Images and seeds behind a row, or its state."""
    if row.state != "measured":
        return row.state
    counts = sorted({cell.n for cell in row.cells if cell.n is not None})
    seeds = sorted({s for cell in row.cells for s in cell.seeds})
    images = "n unknown" if not counts else f"n={counts[0]}" if len(counts) == 1 else f"n={counts[0]}-{counts[-1]}"
    return f"{images}, {'seed' if len(seeds) == 1 else 'seeds'} {' '.join(map(str, seeds))}"


@dataclass
class Footnotes:
    """Reasons with a letter each: equal reasons share one."""

    letters: dict[str, str] = field(default_factory=dict)

    def mark(self, reason: str) -> str:
        """The letter of ``reason``; empty for no reason."""
        if not reason:
            return ""
        count = len(self.letters)
        letter = string.ascii_lowercase[count % 26] * (count // 26 + 1)
        return self.letters.setdefault(one_line(reason, 300), letter)


def row_reason(row: Row) -> str:
    """What a reader must know about a row, as one sentence; empty if it is whole."""
    if row.state != "measured":
        return f"{row.state}: {row.reason}"
    missing = [f"{cell.column} missing: {cell.reason}" for cell in row.cells if cell.value is None]
    return "; ".join([*([row.reason] if row.reason else []), *missing])


def verdict_legend(table: TableResult) -> str:
    """Explains the verdict symbols that occur, and why numbers are not comparable."""
    cells = [cell for row in table.rows for cell in row.cells]
    parts = []
    for verdict, symbol in VERDICT_SYMBOLS.items():
        reasons = dict.fromkeys(r for cell in cells if cell.verdict == verdict for r in cell.reason.split(" and "))
        if reasons:
            parts.append(f"{symbol} {verdict}" + (f" ({'; '.join(reasons)})" if verdict == "not comparable" else ""))
    return "; ".join(parts)


def verdict_symbol(cell: Cell) -> str:
    """Symbol of a cell's verdict; empty where there is none."""
    return VERDICT_SYMBOLS[cell.verdict] if cell.verdict else ""


def decision(claim: Claim) -> str:
    """Symbol and word, so that it reads without color."""
    return f"{DECISION_SYMBOLS[claim.decision]} {claim.decision}"


def difference(claim: Claim) -> str:
    """``+0.12 [+0.1, +0.14]``; empty where there is none."""
    if claim.difference is None:
        return ""
    interval = f" [{claim.interval[0]:+.3g}, {claim.interval[1]:+.3g}]" if claim.interval else ""
    return f"{claim.difference:+.3g}{interval}"


def counts(claim: Claim) -> str:
    """Images and seeds behind a claim; empty where there are none."""
    if not claim.seeds:
        return ""
    return f"n={claim.n}, {'seed' if len(claim.seeds) == 1 else 'seeds'} {' '.join(map(str, claim.seeds))}"


def evidence(claim: Claim) -> str:
    """The numbers behind a decision, as one sentence."""
    text = f"{claim.protocol or claim.metric}: {claim.better} − {claim.worse}"
    text += f" = {difference(claim)}" if claim.difference is not None else ""
    text += f", {counts(claim)}" if claim.seeds else ""
    return text + (f"; {one_line(claim.reason, 200)}" if claim.reason else "")


def grouped(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Claims that differ only in the metric, together, in the order of the first of them."""
    groups: dict[tuple[str, ...], list[Claim]] = {}
    for claim in claims:
        groups.setdefault((claim.id, claim.text, claim.better, claim.worse, claim.note), []).append(claim)
    return list(groups.values())


def published_pair(claim: Claim) -> str:
    """The paper's two numbers; says so where they contradict the claim."""
    if claim.published is None:
        return MISSING
    a, b = claim.published
    return f"{a:g} vs {b:g}" + (" (contradicts the claim)" if claim.contradicted else "")


def made_by(table: TableResult) -> str:
    """Where the numbers come from, as one line."""
    provenance = table.provenance
    dirty = " with local changes" if provenance.get("dirty") else ""
    parts = [f"profile {table.profile}", f"commit {str(provenance.get('commit') or 'unknown')[:12]}{dirty}"]
    parts += [plain(provenance[key]) for key in ("hardware", "date") if provenance.get(key)]
    return "; ".join(parts)


def plain(value: Any) -> str:
    """A JSON value as a reader wants it: ``a 1, b 2`` rather than braces and quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return str(value)


def titles(rows: Iterable[Row]) -> str:
    """Labels behind the name of their group, which is said once."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row.label)
    return ". ".join((f"{group}: " if group else "") + "; ".join(labels) for group, labels in groups.items())


def groups(table: TableResult) -> Iterable[tuple[str, list[Row]]]:
    """Rows by consecutive group, in the table's order."""
    rows: list[Row] = []
    for row in table.rows:
        if rows and rows[-1].group != row.group:
            yield rows[0].group, rows
            rows = []
        rows.append(row)
    if rows:
        yield rows[0].group, rows
