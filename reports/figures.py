"""Pictures of a report as bytes: a plot of all metrics with their intervals, and galleries small enough to embed."""

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from reports import basis
from reports.format import ARROWS
from reports.schema import Row, TableResult

GALLERY_BYTES = 1_100_000
"""Limit for all galleries of a table together; base64 adds a third."""
COLUMNS = 3
LEGEND = (
    "Squares and dotted lines: the ceiling. Diamonds: published values, where they are comparable. Dashed: intervals over "
    "images, where others are over trainings."
)


def plot(table: TableResult) -> bytes:
    """Draw a PNG: a panel per metric, a line per measured row with its 95% interval, published values if comparable."""
    rows, count = table.measured[::-1], len(table.metrics)
    columns = min(COLUMNS, max(count, 1))
    lines = -(-max(count, 1) // columns)
    figure = Figure(figsize=(4 * columns + 0.8, (0.9 + 0.32 * max(len(rows), 1)) * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for i, axis in enumerate(axes):
        if i < count:
            _panel(axis, table, rows, i)
        else:
            axis.set_visible(False)
    if table.watermark:
        size = 3 * figure.get_figwidth()  # fits the width
        figure.text(0.5, 0.5, table.watermark, rotation=15, size=size, ha="center", va="center", color="red", alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _panel(axis: Axes, table: TableResult, rows: tuple[Row, ...], column: int) -> None:
    metric = table.metrics[column]
    axis.set_title(f"{_plain(metric.protocol)} {ARROWS[metric.better]}", fontsize=10)
    axis.set_yticks(range(len(rows)), [_plain(row.title) for row in rows], fontsize=8)
    axis.set_ylim(-0.6, max(len(rows), 1) - 0.4)
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", color="#e4e7eb")
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    for y, row in enumerate(rows):
        cell = row.cells[column]
        if cell.value is None:
            continue
        color = "#0b6e99" if row.ceiling else "#1b1f24"
        if cell.interval:
            style = "--" if basis.mark(table, cell) else "-"
            axis.plot(cell.interval, (y, y), color=color, linestyle=style, linewidth=1.4, alpha=0.6)
        axis.plot(cell.value, y, marker="s" if row.ceiling else "o", color=color, markersize=7 if cell.best else 5)
        if row.ceiling:
            axis.axvline(cell.value, color=color, linestyle=":", linewidth=1)
        if cell.published is not None and cell.verdict != "not comparable":
            axis.plot(cell.published, y, marker="D", markerfacecolor="none", color="#a40e26", markersize=6)
    if not any(row.cells[column].value is not None for row in rows):
        axis.text(0.5, 0.5, "nothing measured yet", transform=axis.transAxes, ha="center", va="center", fontsize=9)


def _plain(text: str) -> str:
    """Return a label without matplotlib's math mode, cut to fit."""
    short = text if len(text) <= 44 else text[:43] + "…"
    return short.replace("$", r"\$")


def sheet(table: TableResult, index: int) -> bytes:
    """Return gallery ``index`` as PNG or JPEG, within its share of ``GALLERY_BYTES``."""
    return shrink(table.galleries[index].file, GALLERY_BYTES // len(table.galleries))


def shrink(path: Path, limit: int) -> bytes:
    """Return the file itself if it has at most ``limit`` bytes, else a JPEG of it, coarser or smaller until it fits."""
    if path.stat().st_size <= limit:
        return path.read_bytes()
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    while True:
        for quality in (90, 80, 65):
            buffer = io.BytesIO()
            image.save(buffer, format="JPEG", quality=quality)
            if buffer.tell() <= limit or min(image.size) < 32:
                return buffer.getvalue()
        image = image.resize((image.width * 7 // 10, image.height * 7 // 10), Image.Resampling.LANCZOS)


def is_image(path: Path) -> bool:
    """Return whether the file exists and is intact."""
    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, SyntaxError):  # PIL raises SyntaxError for a broken PNG
        return False
    return True
