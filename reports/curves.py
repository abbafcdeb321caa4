"""Curves over training: losses and metrics.

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

from markupsafe import Markup

from lightning_mmdiff.runtime.run_folder import HELD_OUT, RunFolder
from reports import charts
from reports.charts import Series
from reports.schema import TableResult
from reports.settings import models


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


def curves(table: TableResult) -> list[Curve]:
    """Return every curve behind the table: metrics of its rows, then what its trainings wrote."""
    folders = dict.fromkeys(place for row in table.rows for run in row.runs for place in (*run.trainings, run.folder))
    return [*metric_curves(table), *(curve for folder in folders for curve in read(folder))]


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


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One quantity of one model: a chart with a line for each seed."""

    model: str
    quantity: str
    words: str
    part: bool
    svg: Markup


def panels(found: Iterable[Curve]) -> list[Panel]:
    """Draw a chart for each quantity of each model."""
    by_panel: dict[tuple[str, str], list[Curve]] = {}
    for curve in found:
        by_panel.setdefault(curve.panel, []).append(curve)
    return [_panel(model, quantity, lines) for (model, quantity), lines in by_panel.items()]


def _panel(model: str, quantity: str, lines: Sequence[Curve]) -> Panel:
    runs = list(dict.fromkeys(curve.run for curve in lines))
    words = f", {len(runs)} seeds" if len(runs) > 1 else ""
    words += "; dashed: held-out images" if any(curve.held_out for curve in lines) else ""
    words += "; last " + ", ".join(f"{curve.points[-1][1]:.4g}{curve.of}" for curve in lines)
    series = [Series(label=c.run + c.of, points=c.points, color=runs.index(c.run), dashed=c.held_out) for c in lines]
    svg = charts.lines(series, f"{quantity} of {model}", x_name="optimizer steps")
    return Panel(model=model, quantity=quantity, words=words, part=lines[0].part, svg=svg)
