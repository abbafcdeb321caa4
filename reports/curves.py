"""Curves over training, drawn as SVG: losses and metrics.

The curves are every CSV file of a run whose first column is ``step``, such as ``loss.csv``, and the metrics of table
rows that measured one model after different numbers of steps. Values on held-out images are dashed beside those of training.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_mmdiff.runtime.run_folder import HELD_OUT, RunFolder
from reports.format import escape_html
from reports.schema import TableResult
from reports.settings import models
from reports.style import grid

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 8, 34
MAX_POINTS = 300
FEW = 12  # curves with at most this many points get markers
LOG_FROM = 20.0  # a range beyond this factor gets a logarithmic axis
COLORS = 4


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One quantity over one training."""

    run: str
    quantity: str
    points: tuple[tuple[int, float], ...]
    """(optimizer step, value), finite, in the order of the file."""
    held_out: bool = False
    """Whether the values are of held-out images."""
    part: bool = False
    """Whether the quantity is only a part of the loss."""

    @property
    def of(self) -> str:
        """End of the curve's name."""
        return ", held-out images" if self.held_out else ""

    @property
    def panel(self) -> tuple[str, str]:
        """Panel of the curve; the curves of one panel differ only in the seed and in the images."""
        return re.sub(r"-seed\d+$", "", self.run), self.quantity


def read(folder: Path) -> list[Curve]:
    """Read the curves of one run, leaving out incomplete lines."""
    curves = []
    for path in sorted(folder.glob("*.csv")):
        heads, *lines = _rows(path) or [[]]
        if heads[:1] != ["step"]:
            continue
        for column, head in enumerate(heads[1:], 1):
            points = tuple(p for line in lines if len(line) == len(heads) and (p := _point(line[0], line[column])))
            quantity, held_out = head.removeprefix(HELD_OUT), head.startswith(HELD_OUT)
            part = path == RunFolder(folder).loss_curve and quantity != "loss"
            curve = Curve(run=folder.name, quantity=quantity, points=points, held_out=held_out, part=part)
            curves += [curve] if points else []
    return curves


def last_step(path: Path) -> int:
    """Return the step of the last complete line in a curve's file, or 0 if there is none."""
    steps = [int(line[0]) for line in _rows(path) if len(line) > 1 and line[0].isdigit()]
    return steps[-1] if steps else 0


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return [line for line in csv.reader(line.replace("\0", "") for line in file) if line]


def _point(step: str, value: str) -> tuple[int, float] | None:
    try:
        x, y = int(step), float(value)
    except ValueError:
        return None
    return (x, y) if math.isfinite(y) else None


def curves(table: TableResult) -> str:
    """Return a panel for each quantity of each model behind the table, with a line for each seed."""
    folders = dict.fromkeys(place for row in table.rows for run in row.runs for place in (*run.trainings, run.folder))
    return panels([*metric_curves(table), *(curve for folder in folders for curve in read(folder))])


def metric_curves(table: TableResult) -> list[Curve]:
    """Return the metrics of rows that share one model, trained further from row to row, and all other settings."""
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for run in (run for row in table.rows for run in row.runs):
        way = (run.config.get("method") or {}).get("type")
        alike = json.dumps([way, {key: value for key, value in run.config.items() if key not in ("name", "method")}])
        first, steps = _trained(run.config)
        for protocol, score in run.scores.items() if first else ():
            found.setdefault((first, protocol, alike), {})[steps] = score.value
    return [
        Curve(run=first, quantity=protocol, points=tuple(sorted(values.items())))
        for (first, protocol, _), values in found.items()
        if len(values) > 1
    ]


def _trained(config: dict[str, Any]) -> tuple[str, int]:
    """Return the original name of a run's only model and its total optimizer steps, or ("", 0) for several models."""
    asked = models(config)
    model = asked[0] if len(asked) == 1 else None
    name, steps = "", 0
    while isinstance(model, dict):
        trainer = model.get("trainer")
        if not isinstance(trainer, dict) or not isinstance(trainer.get("max_steps"), int):
            return "", 0
        name, steps, model = str(model.get("name")), steps + trainer["max_steps"], model.get("initial")
    return name, steps


def panels(found: Sequence[Curve]) -> str:
    """Return charts side by side, with their last values as a table for readers who cannot see them."""
    if not found:
        return '<div class="report"><p>No run of this table has written a curve yet.</p></div>'
    by_panel: dict[tuple[str, str], list[Curve]] = {}
    for curve in found:
        by_panel.setdefault(curve.panel, []).append(curve)
    charts, parts = (
        "".join(_figure(*p, c) for p, c in by_panel.items() if c[0].part is part) for part in (False, True)
    )
    rows = [_last(curve) for curve in found]
    details = f"<details><summary>Last values</summary>{grid(['run', 'quantity', 'step', 'value'], rows)}</details>"
    if parts:
        opened = f'<div class="panels">{parts}</div>'
        details = f"<details><summary>Parts of the losses</summary>{opened}</details>{details}"
    return f'<div class="report"><div class="panels">{charts}</div>{details}</div>'


def _last(curve: Curve) -> str:
    step, value = curve.points[-1]
    cells = (escape_html(curve.run), escape_html(curve.quantity + curve.of), str(step), f"{value:.4g}")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _figure(name: str, quantity: str, lines: Sequence[Curve]) -> str:
    end = max(curve.points[-1][0] for curve in lines)
    runs = {curve.run for curve in lines}
    notes = f", {len(runs)} seeds" if len(runs) > 1 else ""
    notes += "; dashed: held-out images" if any(curve.held_out for curve in lines) else ""
    caption = f"<b>{escape_html(name)}</b>: {escape_html(quantity)} over {end} optimizer steps{notes}"
    return f"<figure>{chart(lines, f'{quantity} of {name}')}<figcaption>{caption}</figcaption></figure>"


def chart(lines: Sequence[Curve], label: str) -> str:
    """Draw an SVG line chart in colors that the page defines; logarithmic if values span more than ``LOG_FROM``."""
    ys = [y for curve in lines for _, y in curve.points]
    low, high = min(ys), max(ys)
    logarithmic = low > 0 and high / low > LOG_FROM
    ticks = _decades(low, high) if logarithmic else _even(low, high)
    bottom, top = min(low, ticks[0]), max(high, ticks[-1])
    end = max(curve.points[-1][0] for curve in lines)

    def scaled(value: float) -> float:
        return math.log10(value) if logarithmic else value

    def place(step: float, value: float) -> tuple[float, float]:
        share = (scaled(value) - scaled(bottom)) / (scaled(top) - scaled(bottom))
        x = LEFT + step / max(end, 1) * (WIDTH - LEFT - RIGHT)
        return round(x, 1), round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape_html(label)}">']
    for tick in ticks:
        y = place(0, tick)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for step, anchor in ((0, "start"), (end, "end")):
        text = f"step {step}" if step else "0"
        parts.append(f'<text x="{place(step, bottom)[0]}" y="{HEIGHT - 14}" text-anchor="{anchor}">{text}</text>')
    runs = list(dict.fromkeys(curve.run for curve in lines))
    for curve in lines:
        color = f"s{runs.index(curve.run) % COLORS}"
        path = " ".join("{},{}".format(*place(*point)) for point in _thin(curve.points))
        title = f"<title>{escape_html(curve.run + curve.of)}</title>"
        kind = "line held-out" if curve.held_out else "line"
        parts.append(f'<polyline class="{kind} {color}" points="{path}">{title}</polyline>')
        marks = curve.points if len(curve.points) <= FEW else ()
        dots = ("{},{}".format(*place(*point)) for point in marks)
        parts += [f'<path class="dot {color}" d="M{dot}h0"/>' for dot in dots]
    return "".join(parts) + "</svg>"


def _thin(points: Sequence[tuple[int, float]]) -> Iterable[tuple[int, float]]:
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
