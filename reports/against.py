"""The numbers of a table against the paper's: published, measured, difference, interval, and what could explain it."""

from collections.abc import Iterator
from dataclasses import dataclass

from reports import basis, format
from reports.schema import PUBLISHED_SETTING, Cell, Metric, Row, TableResult


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A number that the paper prints and that was measured at the published setting."""

    row: str
    column: str
    published: str
    measured: str
    difference: str
    interval: str
    verdict: str
    """The verdict and its reason."""


def comparisons(table: TableResult) -> list[Comparison]:
    """Return all comparisons of a table at the published setting, row by row; none of another profile."""
    if table.profile not in PUBLISHED_SETTING:
        return []
    return [_comparison(table, row, i, cell) for row in table.rows for i, cell in enumerate(row.cells) if _both(cell)]


def explanations(table: TableResult) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Yield each column with a comparison, and what in its protocol could explain a difference."""
    compared = {comparison.column for comparison in comparisons(table)}
    yield from ((m, m.explanations) for m in table.metrics if m.column in compared and m.explanations)


def _both(cell: Cell) -> bool:
    return cell.value is not None and cell.published is not None


def _comparison(table: TableResult, row: Row, column: int, cell: Cell) -> Comparison:
    assert cell.value is not None
    assert cell.published is not None
    decimals = format.decimals(table, column)
    return Comparison(
        row=row.title,
        column=cell.column,
        published=cell.printed,
        measured=format.number(cell.value, decimals),
        difference=f"{cell.value - cell.published:+.{decimals}f}",
        interval=basis.interval(table, column, cell),
        verdict=f"{cell.verdict}: {cell.reason}" if cell.verdict else "",
    )
