"""A table as GitHub-flavored Markdown."""

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from reports import against, basis, evidence, format
from reports.format import Footnotes, escape_markdown, header, one_line
from reports.schema import Cell, Claim, Gallery, Row, TableResult


def markdown(table: TableResult) -> str:
    """Return GitHub-flavored Markdown: the table, its claims, its protocols."""
    notes, escape = Footnotes(), escape_markdown
    lines = [f"# {escape(table.title)}", "", f"{escape(table.paper)}. {escape(basis.made_by(table))}.", ""]
    if table.watermark:
        lines += [f"**{table.watermark}**", ""]
    lines += pipes(["row", *(escape(header(m)) for m in table.metrics), "made from"], head=True)
    for group, rows in format.groups(table):
        if group:
            lines += pipes([f"*{escape(group)}*", *("" for _ in table.metrics), ""])
        lines += [line for row in rows for line in _row(table, row, notes)]
    lines += ["", *(f"{escape(text)}." for text in (basis.reading(table), basis.columns(table)) if text)]
    lines += [escape(format.verdict_legend(table)), ""]
    lines += [f"- {letter}: {escape(reason)}" for reason, letter in notes.letters.items()]
    lines += [f"- {escape(note)}" for note in table.notes]
    lines += _against(table)
    if table.claims:
        lines += ["", "## Claims", ""]
    for heading, claims in evidence.by_source(table.claims).items():
        lines += [f"### {heading}", "", *_claims(claims), "", f"{escape(evidence.tally(claims))}.", ""]
    lines += ["", "## Protocols", ""]
    lines += [f"- **{escape(m.protocol)}** ({m.better} is better): {escape(m.description)}" for m in table.metrics]
    lines += ["", *(line for gallery in table.galleries for line in _gallery(gallery, table.folder))]
    return "\n".join([*lines, f"Made by `{one_line(table.command).replace('`', '')}`.", ""])


def _row(table: TableResult, row: Row, notes: Footnotes) -> list[str]:
    mark = notes.mark(format.row_reason(row))
    cells = [cell(table, i, row.cells[i]) for i in range(len(table.metrics))]
    return pipes([label(row), *cells, escape_markdown(basis.made_from(row)) + (f" ({mark})" if mark else "")])


def label(row: Row) -> str:
    """Return the name of a row."""
    return escape_markdown(row.label) + (" (ceiling)" if row.ceiling else "")


def cell(table: TableResult, column: int, found: Cell) -> str:
    """Return a number with its published one, verdict and interval, bold if it is the best."""
    text = format.number(found.value, format.decimals(table, column))
    parts = [f"**{text}**" if found.best else text, f"({found.printed})" if found.printed else ""]
    parts += [format.verdict_symbol(found), escape_markdown(basis.interval(table, column, found))]
    return " ".join(part for part in parts if part)


def _against(table: TableResult) -> list[str]:
    """Return the numbers against the paper's, and what could explain the differences; nothing below the published setting."""
    found = against.comparisons(table)
    if not found:
        return []
    lines = ["", "## Against the paper", ""]
    lines += pipes(["row", "column", "published", "measured", "difference", "interval", "verdict"], head=True)
    for one in found:
        cells = (one.row, one.column, one.published, one.measured, one.difference, one.interval, one.verdict)
        lines += pipes([escape_markdown(text) for text in cells])
    reasons = [
        f"- **{escape_markdown(metric.column)}**: {escape_markdown('; '.join(why))}"
        for metric, why in against.explanations(table)
    ]
    return [*lines, *(["", "What could explain a difference:", "", *reasons] if reasons else [])]


def _claims(claims: Iterable[Claim]) -> list[str]:
    lines = pipes(["claim", "source", "decision", "evidence", "published", "note"], head=True)
    for claim in claims:
        cells = [f"{claim.id}: {claim.text}", evidence.source(claim) or format.MISSING, evidence.decision(claim)]
        cells += [evidence.sentence(claim), evidence.published_pair(claim), claim.note or format.MISSING]
        lines += pipes([escape_markdown(cell) for cell in cells])
    return lines


def _gallery(gallery: Gallery, folder: Path) -> list[str]:
    if not gallery.file.is_file():
        return []
    title, address = escape_markdown(gallery.title), quote(os.path.relpath(gallery.file, folder))
    return [f"![{title}]({address})", "", f"{title}. {escape_markdown(gallery.caption)} (fixed seeds, uncurated)", ""]


def pipes(cells: list[str], *, head: bool = False) -> list[str]:
    """Return a line of a table; with ``head``, also the line below its headings."""
    line = "| " + " | ".join(cells) + " |"
    return [line, "|" + " --- |" * len(cells)] if head else [line]
