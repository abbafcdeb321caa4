"""Words and digits that all renderings share, and the escaping of text for each of them."""

import html
import itertools
import math
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reports.schema import Cell, Metric, Row, TableResult

VERDICT_SYMBOLS = {"agrees": "=", "within noise": "≈", "differs": "≠", "not comparable": "n/c"}
MISSING = "—"
ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}

_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "[": "{[}",  # after a line break of a tabular, [ and * would be its arguments
    "*": "{*}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "°": r"\textsuperscript{$\circ$}",
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


def escape_latex(text: object) -> str:
    """Escape text for LaTeX, on one line."""
    return "".join(_LATEX.get(c, c) for c in one_line(text))


def escape_markdown(text: object) -> str:
    """Escape text for Markdown (table cells included), on one line, so that no character acts as markup or HTML."""
    return _MARKDOWN.sub(r"\\\1", html.escape(one_line(text), quote=False))


def one_line(text: object, limit: int | None = None) -> str:
    """Return the text without line breaks, shortened to ``limit`` characters if it is longer."""
    line = " ".join(str(text).split())
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"


def number(value: float | None, decimals: int) -> str:
    """Format a number with fixed decimals, or as a dash if it is missing."""
    return MISSING if value is None else f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus before a zero


def decimals(table: TableResult, column: int) -> int:
    """Return the decimals of the measured numbers in a column; none where all are whole, and only describe or were counted."""
    cells = [row.cells[column] for row in table.rows]
    values = [cell.value for cell in cells if cell.value is not None]
    counted = table.metrics[column].better == "neither" or not any(cell.interval for cell in cells)
    if counted and all(value.is_integer() for value in values):
        return 0
    largest = max(map(abs, values), default=0.0)
    return 3 if largest < 2 else 2 if largest < 100 else 1


def header(metric: Metric) -> str:
    """Return the heading of a column: our name for the number, its direction and, if the paper has the column, its name there."""
    published = f"\n(paper: {metric.column})" if metric.source and metric.protocol != metric.column else ""
    return f"{metric.protocol} {ARROWS[metric.better]}".rstrip() + published


@dataclass
class Footnotes:
    """Reasons with a letter each; equal reasons share one."""

    letters: dict[str, str] = field(default_factory=dict)

    def mark(self, reason: str) -> str:
        """Return the letter of ``reason``; empty if there is no reason."""
        if not reason:
            return ""
        count = len(self.letters)
        letter = string.ascii_lowercase[count % 26] * (count // 26 + 1)
        return self.letters.setdefault(one_line(reason, 300), letter)


def row_reason(row: Row) -> str:
    """Return the caveats of a row as one sentence; empty if the row is complete."""
    if row.state != "measured":
        return f"{row.state}: {row.reason}"
    missing = [f"{cell.column} missing: {cell.reason}" for cell in row.cells if cell.value is None]
    return "; ".join([*([row.reason] if row.reason else []), *missing])


def verdict_legend(table: TableResult) -> str:
    """Explain the verdict symbols that occur, and why numbers are not comparable."""
    cells = [cell for row in table.rows for cell in row.cells]
    parts = []
    for verdict, symbol in VERDICT_SYMBOLS.items():
        reasons = dict.fromkeys(r for cell in cells if cell.verdict == verdict for r in cell.reason.split(" and "))
        if reasons:
            parts.append(f"{symbol} {verdict}" + (f" ({'; '.join(reasons)})" if verdict == "not comparable" else ""))
    return "; ".join(parts)


def verdict_symbol(cell: Cell) -> str:
    """Return the symbol of a cell's verdict; empty if there is none."""
    return VERDICT_SYMBOLS[cell.verdict] if cell.verdict else ""


def plain(value: Any) -> str:
    """Format a JSON value for readers: ``a 1, b 2`` rather than braces and quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return str(value)


def titles(rows: Iterable[Row]) -> str:
    """Return row labels after the name of their group, which appears once."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row.label)
    return ". ".join((f"{group}: " if group else "") + "; ".join(labels) for group, labels in groups.items())


def groups(table: TableResult) -> Iterable[tuple[str, list[Row]]]:
    """Yield the rows of a table by consecutive group, in the table's order."""
    return grouped(table.rows)


def grouped(rows: Iterable[Row]) -> Iterable[tuple[str, list[Row]]]:
    """Yield rows by consecutive group, in their order."""
    for group, found in itertools.groupby(rows, key=lambda row: row.group):
        yield group, list(found)
