"""Charts as SVG in the colors of the page, light or dark: lines over a quantity, and numbers on their intervals.

Drawn here, not by matplotlib, whose SVG has its colors built in and is ten times as long; a page holds some thirty
charts, and a bar in every cell of its table.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.schema import Cell, TableResult
from reports.templating import render

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 36
MAX_POINTS = 300
FEW = 12  # lines with at most this many points get markers
LOG_FROM = 20.0  # a range beyond this factor gets a logarithmic axis
COLORS = 4
BAR_WIDTH = 100  # pixels of a number on its interval


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart."""

    label: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...] = ()
    """Lower and upper end of the interval of each point; empty if there are none."""
    color: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class Scale:
    """An axis: where a value lies, in pixels."""

    ticks: tuple[float, ...]
    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value, rounded to a tenth of a pixel."""
        a, b, v = (math.log10(x) if self.logarithmic else x for x in (self.low, self.high, value))
        return round(self.start + (v - a) / ((b - a) or 1.0) * (self.end - self.start), 1)


def scale(values: Sequence[float], start: float, end: float, *, may_be_logarithmic: bool = True) -> Scale:
    """Return an axis with round ticks that covers ``values``; logarithmic if they span more than ``LOG_FROM``.

    Args:
        values: everything that is drawn, not empty.
        start: place of the smallest tick, in pixels.
        end: place of the largest tick.
        may_be_logarithmic: whether the axis may be logarithmic.
    """
    low, high = min(values), max(values)
    logarithmic = may_be_logarithmic and low > 0 and high / low > LOG_FROM
    ticks = _decades(low, high) if logarithmic else _even(low, high)
    return Scale(tuple(ticks), min(low, ticks[0]), max(high, ticks[-1]), start, end, logarithmic)


def lines(series: Sequence[Series], label: str, *, x_name: str, x_ticks: Sequence[float] = ()) -> Markup:
    """Draw lines over a quantity.

    Args:
        series: lines, each with at least one point.
        label: description for readers who cannot see it.
        x_name: name of the quantity, written below its axis.
        x_ticks: values of the quantity that get a tick; else 0 and the largest.
    """
    ends = [end for s in series for pair in s.band for end in pair]
    y = scale([value for s in series for _, value in s.points] + ends, HEIGHT - BOTTOM, TOP)
    xs = [place for s in series for place, _ in s.points]
    x = Scale(tuple(x_ticks) or (0, max(xs)), min(xs) if x_ticks else 0, max(xs) or 1, LEFT, WIDTH - RIGHT)
    drawn = [
        {
            "label": s.label,
            "color": s.color % COLORS,
            "dashed": s.dashed,
            "path": _path((x(a), y(b)) for a, b in _thin(s.points)),
            "marks": [f"{x(a)},{y(b)}" for a, b in s.points] if len(s.points) <= FEW else [],
            "band": _band(s, x, y),
        }
        for s in series
    ]
    return render("lines.svg", label=label, x=x, y=y, drawn=drawn, x_name=x_name, width=WIDTH, height=HEIGHT,
                  left=LEFT, right=WIDTH - RIGHT, bottom=HEIGHT - BOTTOM)  # fmt: skip


def _band(series: Series, x: Scale, y: Scale) -> str:
    """Return the outline of a line's intervals: along the upper ends, and back along the lower ones."""
    places = [x(a) for a, _ in series.points]
    upper = [(a, y(high)) for a, (_, high) in zip(places, series.band)]
    lower = [(a, y(low)) for a, (low, _) in zip(places, series.band)]
    return _path([*upper, *reversed(lower)])


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{a},{b}" for a, b in points)


def interval(table: TableResult, column: int, cell: Cell) -> Markup:
    """Draw a number on its 95% interval, on the scale of its column; empty for a column without intervals."""
    span = _span(table, column)
    if cell.value is None or span is None:
        return Markup("")
    low, high = span
    x = Scale((), low, high, 5, BAR_WIDTH - 5)
    ceilings = [row.cells[column].value for row in table.rows if row.ceiling]
    return render(
        "interval.svg",
        width=BAR_WIDTH,
        value=x(cell.value),
        interval=[x(end) for end in cell.interval or ()],
        ceilings=[x(value) for value in ceilings if value is not None],
        published=[x(value) for value in _published(cell)],
        best=cell.best,
    )


def _span(table: TableResult, column: int) -> tuple[float, float] | None:
    """Return the smallest and largest number that a column draws; None if it has no interval."""
    cells = [row.cells[column] for row in table.rows if row.cells[column].value is not None]
    ends = [end for cell in cells for end in (cell.value, *(cell.interval or ()), *_published(cell)) if end is not None]
    return (min(ends), max(ends)) if any(cell.interval for cell in cells) and min(ends) < max(ends) else None


def _published(cell: Cell) -> tuple[float, ...]:
    return () if cell.published is None or cell.verdict == "not comparable" else (cell.published,)


def _thin(points: Sequence[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """Return at most about ``MAX_POINTS`` of the points, always with the last one."""
    every = -(-len(points) // MAX_POINTS)
    return [*points[:-1:every], points[-1]]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = -(-(last - first) // 4)
    return [10.0**k for k in range(first, last + 1, every)]


def _even(low: float, high: float) -> list[float]:
    """Return two to seven round numbers that cover the range."""
    width = (high - low) or abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(width / 3))
    step = next(size * factor for factor in (1, 2, 5, 10) if width / (size * factor) <= 5)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [k * step for k in range(first, last + 1)]
