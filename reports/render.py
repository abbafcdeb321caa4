"""A table as terminal output."""

import os
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reports import basis, evidence, format
from reports.format import Footnotes, header, one_line
from reports.schema import Cell, TableResult

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
        grid.add_column(Text(header(metric)), overflow="fold")
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
