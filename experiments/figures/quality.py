"""Quality over network evaluations per image, for every row of a table that counts them: what a user pays for."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from lightning_mmdiff.runtime.files import atomic_path
from reports.format import ARROWS
from reports.schema import Row, TableResult

CALLS = "NetworkCalls"
"""Protocol that counts the evaluations."""
MARKERS = "osd^vPX*"
APART, ALIKE = 1.05, 1.1
"""Ratio of the places of two rows of about the same cost, so that both can be seen; largest ratio of such costs."""


def judged(table: TableResult) -> list[int]:
    """Return the numbers of the columns that the table's claims are decided on."""
    deciding = {claim.metric for claim in table.claims}
    return [i for i, metric in enumerate(table.metrics) if metric.column in deciding]


def can_draw(table: TableResult) -> bool:
    """Return whether a table counts evaluations, and has a row with both numbers."""
    return bool(judged(table)) and bool(_rows(table))


def _calls(table: TableResult, row: Row) -> float | None:
    columns = [i for i, metric in enumerate(table.metrics) if metric.protocol == CALLS]
    return row.cells[columns[0]].value if columns else None


def _rows(table: TableResult) -> list[tuple[Row, float]]:
    """Return the measured rows but the ceiling, each with its evaluations per image, the cheapest first."""
    found = [(row, calls) for row in table.measured if not row.ceiling and (calls := _calls(table, row))]
    return sorted(found, key=lambda pair: pair[1])


def draw(table: TableResult, path: Path) -> None:
    """Write a panel for each column that decides claims: a point for each row, with its 95% interval, and a line at the ceiling.

    Points are numbered from the cheapest row on; the legend says which is which.
    """
    columns, rows = judged(table), _rows(table)
    figure, axes = plt.subplots(
        1, len(columns), figsize=(4 * len(columns) + 3.6, max(4.4, 0.19 * len(rows) + 0.6)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax, column in zip(axes[0], columns):
        _panel(ax, table, rows, column)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", fontsize=7.5)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    plt.close(figure)


def _panel(ax: Axes, table: TableResult, rows: list[tuple[Row, float]], column: int) -> None:
    metric = table.metrics[column]
    groups = grouped([calls for _, calls in rows])
    places = [place for group in groups for place in _places(group)]
    for number, ((row, calls), place) in enumerate(zip(rows, places, strict=True), 1):
        cell = row.cells[column]
        if cell.value is None:
            continue
        color, marker = f"C{number % 10}", MARKERS[number // 10 % len(MARKERS)]
        if cell.interval:
            ax.plot((place, place), cell.interval, color=color, linewidth=1, alpha=0.4)
        label = f"{number} {row.label} ({calls:g})"
        ax.plot(place, cell.value, color=color, marker=marker, linestyle="", markersize=5, label=label)
        ax.annotate(str(number), (place, cell.value), xytext=(3, 3), textcoords="offset points", fontsize=7)
    for row in table.measured:
        if row.ceiling and (value := row.cells[column].value) is not None:
            ax.axhline(value, color="0.4", linestyle=":", linewidth=1)
    ax.set(xscale="log", xlabel="network evaluations per image", title=f"{metric.column} {ARROWS[metric.better]}")
    names = [f"{g[0]:g}" if g[0] == g[-1] else f"{g[0]:g}-{g[-1]:g}" for g in groups]
    ax.set_xticks([_center(group) for group in groups], names, fontsize=8)
    ax.minorticks_off()
    ax.grid(alpha=0.3)


def grouped(costs: Sequence[float]) -> list[list[float]]:
    """Return rising costs in groups of about the same cost."""
    groups: list[list[float]] = []
    for cost in costs:
        if groups and cost <= ALIKE * groups[-1][0]:
            groups[-1].append(cost)
        else:
            groups.append([cost])
    return groups


def _center(group: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, group)) / len(group))


def _places(group: Sequence[float]) -> list[float]:
    """Return where rows of about the same cost stand: side by side around it."""
    middle = (len(group) - 1) / 2
    return [_center(group) * APART ** (number - middle) for number in range(len(group))]
