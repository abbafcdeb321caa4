"""A table as terminal output, Markdown and CSV."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reports import basis, evidence, format
from reports.format import Footnotes, escape_markdown, one_line
from reports.schema import Cell, Claim, Gallery, Metric, Row, TableResult
from reports.values import frame

ARROWS = {"lower": "↓", "higher": "↑"}
STYLES = {"holds": "bold green", "fails": "bold red", "undecided": "yellow", "open": "dim"}
STYLES |= {"agrees": "green", "within noise": "yellow", "differs": "red", "not comparable": "dim"}


def show(table: TableResult) -> None:
    """Print the table; if the output is not a screen, it is never narrower than it needs."""
    if not sys.stdout.isatty() and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a job's log may be ASCII
    width = None if sys.stdout.isatty() else max(int(os.environ.get("COLUMNS", 0)), 50 + 26 * len(table.metrics))
    Console(width=width).print(terminal(table))


def terminal(table: TableResult) -> RenderableType:
    """Return the table, its notes and its claims for ``rich``; text is never read as markup."""
    notes = Footnotes()
    parts: list[RenderableType] = [Text(table.title, style="bold"), Text(f"{table.paper}. {basis.made_by(table)}")]
    if table.watermark:
        parts.append(Text(f" {table.watermark} ", style="bold white on red"))
    parts += [_grid(table, notes)]
    lines = (basis.reading(table), basis.columns(table), format.verdict_legend(table))
    parts += [Text(line, style="dim") for line in lines if line]
    parts += [Text(f"[{letter}] {reason}") for reason, letter in notes.letters.items()]
    parts += [Text(f"Note: {note}") for note in table.notes]
    if table.claims:
        parts += [_claims_grid(table), Text(evidence.tally(table.claims), style="dim")]
    if table.watermark:
        parts.append(Text(f"\n {table.watermark} ", style="bold white on red"))
    return Group(*parts)


def _grid(table: TableResult, notes: Footnotes) -> Table:
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    grid.add_column(Text("row"), overflow="fold")
    for metric in table.metrics:
        grid.add_column(Text(_header(metric, ARROWS)), overflow="fold")
    grid.add_column(Text("made from"), overflow="fold")
    for group, rows in format.groups(table):
        if group:
            grid.add_row(Text(group, style="italic"))
        for row in rows:
            mark = notes.mark(format.row_reason(row))
            label = Text(("  " if group else "") + one_line(row.label) + (" (ceiling)" if row.ceiling else ""))
            cells = [_terminal_cell(table, i, cell) for i, cell in enumerate(row.cells)]
            origin = Text(basis.made_from(row) + (f" [{mark}]" if mark else ""))
            style = "cyan" if row.ceiling else "" if row.state == "measured" else "dim"
            grid.add_row(label, *cells, origin, style=style)
    return grid


def _claims_grid(table: TableResult) -> Table:
    """Return one line per claim; the notebook has the full evidence."""
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("decision", "claim", "source", "on", "difference [95%]", "published"):
        grid.add_column(Text(heading), overflow="fold")
    for claim in table.claims:
        difference = evidence.difference(claim) or format.MISSING
        decision = Text(evidence.decision(claim), STYLES[claim.decision])
        text = f"{claim.id}: {one_line(claim.text)}" + (f" ({one_line(claim.note)})" if claim.note else "")
        where = evidence.source(claim)
        cells = (text, where, claim.protocol or claim.metric, difference, evidence.published_pair(claim))
        grid.add_row(decision, *(Text(cell) for cell in cells))
    return grid


def _terminal_cell(table: TableResult, column: int, cell: Cell) -> Text:
    text = Text(format.number(cell.value, format.decimals(table, column)), style="bold" if cell.best else "")
    if cell.printed:
        text.append(f" ({cell.printed})", "not bold")
    if cell.verdict:
        text.append(f" {format.verdict_symbol(cell)}", f"not bold {STYLES[cell.verdict]}")
    if cell.interval:
        text.append(f"\n{basis.interval(table, column, cell)}", "not bold dim")
    return text


def _header(metric: Metric, arrows: dict[str, str]) -> str:
    published = f"\n(paper: {metric.column})" if metric.source and metric.protocol != metric.column else ""
    return f"{metric.protocol} {arrows[metric.better]}{published}"


def markdown(table: TableResult) -> str:
    """Return GitHub-flavored Markdown: the table, its claims, its protocols."""
    notes, escape = Footnotes(), escape_markdown
    lines = [f"# {escape(table.title)}", "", f"{escape(table.paper)}. {escape(basis.made_by(table))}.", ""]
    if table.watermark:
        lines += [f"**{table.watermark}**", ""]
    lines += _pipes(["row", *(escape(_header(m, ARROWS)) for m in table.metrics), "made from"], head=True)
    for group, rows in format.groups(table):
        if group:
            lines += _pipes([f"*{escape(group)}*", *("" for _ in table.metrics), ""])
        lines += [line for row in rows for line in _markdown_row(table, row, notes)]
    lines += ["", *(f"{escape(text)}." for text in (basis.reading(table), basis.columns(table)) if text)]
    lines += [escape(format.verdict_legend(table)), ""]
    lines += [f"- {letter}: {escape(reason)}" for reason, letter in notes.letters.items()]
    lines += [f"- {escape(note)}" for note in table.notes]
    if table.claims:
        lines += ["", "## Claims", ""]
    for heading, claims in evidence.by_source(table.claims).items():
        lines += [f"### {heading}", "", *_markdown_claims(claims), "", f"{escape(evidence.tally(claims))}.", ""]
    lines += ["", "## Protocols", ""]
    lines += [f"- **{escape(m.protocol)}** ({m.better} is better): {escape(m.description)}" for m in table.metrics]
    lines += ["", *(line for gallery in table.galleries for line in _markdown_gallery(gallery, table.folder))]
    return "\n".join([*lines, f"Made by `{one_line(table.command).replace('`', '')}`.", ""])


def _markdown_row(table: TableResult, row: Row, notes: Footnotes) -> list[str]:
    mark = notes.mark(format.row_reason(row))
    cells = []
    for i, cell in enumerate(row.cells):
        text = format.number(cell.value, format.decimals(table, i))
        text = f"**{text}**" if cell.best else text
        parts = [text, f"({cell.printed})" if cell.printed else ""]
        parts += [format.verdict_symbol(cell), escape_markdown(basis.interval(table, i, cell))]
        cells.append(" ".join(part for part in parts if part))
    label = escape_markdown(row.label) + (" (ceiling)" if row.ceiling else "")
    return _pipes([label, *cells, escape_markdown(basis.made_from(row)) + (f" ({mark})" if mark else "")])


def _markdown_claims(claims: Iterable[Claim]) -> list[str]:
    lines = _pipes(["claim", "source", "decision", "evidence", "published", "note"], head=True)
    for claim in claims:
        cells = [f"{claim.id}: {claim.text}", evidence.source(claim) or format.MISSING, evidence.decision(claim)]
        cells += [evidence.sentence(claim), evidence.published_pair(claim), claim.note or format.MISSING]
        lines += _pipes([escape_markdown(cell) for cell in cells])
    return lines


def _markdown_gallery(gallery: Gallery, folder: Path) -> list[str]:
    if not gallery.file.is_file():
        return []
    title, address = escape_markdown(gallery.title), quote(os.path.relpath(gallery.file, folder))
    return [f"![{title}]({address})", "", f"{title}. {escape_markdown(gallery.caption)} (fixed seeds, uncurated)", ""]


def _pipes(cells: list[str], *, head: bool = False) -> list[str]:
    line = "| " + " | ".join(cells) + " |"
    return [line, "|" + " --- |" * len(cells)] if head else [line]


def csv(table: TableResult) -> str:
    """Return one line for each cell, every field raw and unrounded."""
    return frame(table).to_csv(index=False)
