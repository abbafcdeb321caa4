"""Figures as the papers draw them, from the rows of a table: lines over a quantity, a chart for each metric."""

from dataclasses import dataclass, replace

from markupsafe import Markup

from reports import charts, format
from reports.charts import Series
from reports.claims import find_row
from reports.galleries import Figure, Line
from reports.schema import TableResult


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure with its charts."""

    title: str
    caption: str
    charts: tuple[tuple[str, Markup], ...]
    """Name and SVG."""
    lines: tuple[str, ...]


def draw(table: TableResult) -> list[Drawn]:
    """Draw the figures of a table that have at least one measured point; those of one title stand side by side."""
    drawn: list[Drawn] = []
    for figure in table.figures:
        new = _draw(table, figure)
        if drawn and drawn[-1].title == new.title:
            drawn[-1] = replace(new, charts=drawn[-1].charts + new.charts)
        elif new.charts:
            drawn.append(new)
    return drawn


def _draw(table: TableResult, figure: Figure) -> Drawn:
    if figure.y:
        given = [
            Series(label=line.label, points=tuple((x, float(y)) for x, y in line.points), color=i)
            for i, line in enumerate(figure.lines)
        ]
        panels = [(figure.y, _chart(given, figure, figure.y))]
    else:
        columns = ((m, _of_rows(table, figure, i)) for i, m in enumerate(table.metrics))
        panels = [
            (f"{m.protocol} {format.ARROWS[m.better]}", _chart(found, figure, m.protocol))
            for m, found in columns
            if found
        ]
    labels = tuple(line.label for line in figure.lines)
    return Drawn(title=figure.title, caption=figure.caption, charts=tuple(panels), lines=labels)


def _chart(series: list[Series], figure: Figure, name: str) -> Markup:
    places = sorted({x for s in series for x, _ in s.points})
    ticks = places if len(places) <= charts.FEW and not figure.y else ()
    return charts.lines(series, f"{name} over {figure.x}", x_name=figure.x, x_ticks=ticks)


def _of_rows(table: TableResult, figure: Figure, column: int) -> list[Series]:
    """Return the lines of one metric; rows without it are left out."""
    found = (_line(table, line, column, number) for number, line in enumerate(figure.lines))
    return [series for series in found if series.points]


def _line(table: TableResult, line: Line, column: int, number: int) -> Series:
    points, band = [], []
    for x, name in line.points:
        row = find_row(table.rows, str(name))
        cell = row.cells[column] if row else None
        if cell and cell.value is not None:
            points.append((x, cell.value))
            band.append(cell.interval or (cell.value, cell.value))
    return Series(label=line.label, points=tuple(points), band=tuple(band), color=number)
