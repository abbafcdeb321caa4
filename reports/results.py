"""Reading of ``table.json`` and the run folders it names into a ``TableResult``: means, intervals, verdicts, claims."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lightning_mmdiff.errors import UserError
from reports.claims import decide
from reports.old_configs import upgrade
from reports.runs import load_run, read_json
from reports.schema import Cell, Gallery, Interval, Metric, Row, Run, Score, State, TableResult, Verdict
from reports.statistics import t_interval
from reports.table_folder import TableFolder

# Retraining alone moves FID by 1-2% ("The FID Lottery", arXiv 2606.20536): a smaller gap means nothing.
NOISE_FLOOR = 0.013
FIELDS = (
    *("name", "title", "paper", "profile", "notes", "command"),
    *("metrics", "rows", "claims", "galleries", "provenance"),
)


def load_table(path: str | Path) -> TableResult:
    """Return the table at ``path`` with everything that its runs currently have on disk."""
    path = Path(path).resolve()
    stored = _read(path)
    metrics = tuple(map(_metric, stored["metrics"]))
    papers = upgrade(read_json(TableFolder(path.parent).paper))
    rows = tuple(_row(row, metrics, stored["profile"], path.parent, papers) for row in stored["rows"])
    rows = _mark_best(rows, metrics)
    return TableResult(
        name=stored["name"],
        title=stored["title"],
        paper=stored["paper"],
        profile=stored["profile"],
        notes=tuple(stored["notes"]),
        command=stored["command"],
        metrics=metrics,
        rows=rows,
        claims=tuple(
            decide(claim, metrics, rows, meaningless=stored["profile"] == "smoke") for claim in stored["claims"]
        ),
        galleries=tuple(
            Gallery(title=g["title"], caption=g["caption"], file=path.parent / g["file"]) for g in stored["galleries"]
        ),
        provenance=stored["provenance"],
        folder=path.parent,
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; run the table's own command first (python -m experiments.<table>).")
    try:
        stored = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); run the table's own command again to rewrite it.") from error
    missing = [field for field in FIELDS if field not in stored] if isinstance(stored, dict) else FIELDS
    if missing:
        raise UserError(f"{path}: lacks {', '.join(missing)}; was it written by python -m experiments.<table>?")
    if not stored["name"] or Path(stored["name"]).name != stored["name"]:
        raise UserError(f"{path}: the name of a table is the name of its files, found {stored['name']!r}.")
    return stored


def _metric(stored: dict[str, Any]) -> Metric:
    """Return a column; before it was said, a number was comparable if its protocol had the name of the column."""
    known = {field.name: stored[field.name] for field in dataclasses.fields(Metric) if field.name in stored}
    return Metric(**({"comparable": stored["protocol"] == stored["column"]} | known))


def _row(
    stored: dict[str, Any], metrics: tuple[Metric, ...], profile: str, folder: Path, papers: dict[str, Any]
) -> Row:
    folders: dict[Path, dict[str, Any]] = {}
    for run in stored["runs"]:  # seeds that share a folder (the ceiling has no training seed) are one measurement
        folders.setdefault((folder / run["folder"]).resolve(), run)
    runs = tuple(
        load_run(path, seed=run["seed"], name=run["name"], paper=papers.get(run["name"]))
        for path, run in folders.items()
    )
    state, reason = _row_state(runs, stored.get("why"))
    published = stored.get("published") or {}
    return Row(
        group=stored.get("group") or "",
        label=stored["label"],
        ceiling=bool(stored.get("ceiling")),
        state=state,
        reason=reason,
        cells=tuple(_cell(metric, runs, published.get(metric.column), profile, state) for metric in metrics),
        runs=runs,
    )


def _row_state(runs: tuple[Run, ...], why: str | None) -> tuple[State, str]:
    """Return a row's state and reason: measured as soon as one seed is, with what the other seeds lack as the reason."""
    if not runs:
        return "not measured", why or "no reason was given"
    troubles = [f"seed {run.seed}: {_trouble(run)}" for run in runs if run.reason]
    if any(run.state == "measured" for run in runs):
        return "measured", "; ".join(troubles)
    for state in ("failed", "running", "pending"):
        found = [run for run in runs if run.state == state]
        if found and len(runs) == 1:
            return found[0].state, found[0].reason
        if found:
            return found[0].state, "; ".join(troubles)
    raise AssertionError("a run is measured, failed, running or pending")


def _trouble(run: Run) -> str:
    return f"failed: {run.reason}" if run.state == "failed" else run.reason


def _cell(metric: Metric, runs: tuple[Run, ...], published: float | None, profile: str, state: State) -> Cell:
    scored = [run for run in runs if metric.protocol in run.scores]
    scores = [run.scores[metric.protocol] for run in scored]
    values = tuple(score.value for score in scores)
    value = float(np.mean(values)) if values else None
    interval = t_interval(values) if len(values) > 1 else scores[0].interval if scores else None
    verdict, reason = _verdict(_known_better(metric, scores), value, interval, published, profile)
    if value is None:
        reasons = [run.unmeasured[metric.protocol] for run in runs if metric.protocol in run.unmeasured]
        unknown = f"no finite {metric.protocol} in metrics.json" if state == "measured" else state
        reason = reasons[0] if reasons else unknown
    return Cell(
        column=metric.column,
        protocol=metric.protocol,
        value=value,
        interval=interval,
        n=min((score.n for score in scores if score.n is not None), default=None),
        seeds=tuple(run.seed for run in scored),
        seed_values=values,
        published=published,
        verdict=verdict,
        reason=reason,
        best=False,
    )


def _known_better(metric: Metric, scores: Sequence[Score]) -> Metric:
    """Return ``metric`` with what the scores of all seeds know of their reference; the least comparable one counts."""
    known = (score for score in scores if score.comparable is not None)
    least = min(known, key=lambda score: bool(score.comparable), default=None)
    if least is None:
        return metric
    return dataclasses.replace(metric, comparable=bool(least.comparable), basis=least.basis)


def _verdict(
    metric: Metric, value: float | None, interval: Interval | None, published: float | None, profile: str
) -> tuple[Verdict | None, str]:
    """Return the verdict on a measured value against the published one, and the reason."""
    if value is None:
        return None, "not measured"
    if published is None:
        return None, "nothing published"
    obstacles = [f"the {profile} profile is not the published setting"] if profile != "paper" else []
    if not metric.comparable:
        obstacles.append(metric.basis or f"{metric.protocol} is not {metric.column}")
    if obstacles:
        return "not comparable", " and ".join(obstacles)
    basis = f"; {metric.basis}" if metric.basis else ""
    gap = abs(value - published)
    if interval is not None and gap <= (interval[1] - interval[0]) / 2:
        return "within noise", f"the gap is at most half the 95% interval{basis}"
    if gap <= NOISE_FLOOR * abs(published):
        return "agrees", f"within {NOISE_FLOOR:.1%} of the published value{basis}"
    distance = f"{gap / abs(published):.1%} from the published value" if published else "published value is 0"
    return "differs", distance + basis


def _mark_best(rows: tuple[Row, ...], metrics: tuple[Metric, ...]) -> tuple[Row, ...]:
    """Return the rows with the best measured value of each column marked; the ceiling does not compete."""
    best: list[float | None] = []
    for i, metric in enumerate(metrics):
        values = [v for row in rows if not row.ceiling and (v := row.cells[i].value) is not None]
        best.append((min if metric.better == "lower" else max)(values, default=None))
    return tuple(
        dataclasses.replace(
            row,
            cells=tuple(
                dataclasses.replace(cell, best=not row.ceiling and cell.value is not None and cell.value == best[i])
                for i, cell in enumerate(row.cells)
            ),
        )
        for row in rows
    )


def frame(table: TableResult) -> pd.DataFrame:
    """Return one line for each cell, every field raw; lists are separated by spaces."""
    return pd.DataFrame(
        {
            "table": table.name,
            "profile": table.profile,
            "group": row.group,
            "row": row.label,
            "ceiling": row.ceiling,
            "state": row.state,
            "state_reason": row.reason,
            "column": cell.column,
            "protocol": cell.protocol,
            "better": metric.better,
            "value": cell.value,
            "low": cell.interval[0] if cell.interval else None,
            "high": cell.interval[1] if cell.interval else None,
            "n": cell.n,
            "seeds": " ".join(map(str, cell.seeds)),
            "seed_values": " ".join(map(repr, cell.seed_values)),
            "published": cell.published,
            "verdict": cell.verdict,
            "reason": cell.reason,
            "best": cell.best,
        }
        for row in table.rows
        for metric, cell in zip(table.metrics, row.cells, strict=True)
    ).astype({"n": "Int64"})


def as_json(table: TableResult) -> dict[str, Any]:
    """Return the aggregated cells and the decided claims as plain values."""
    return {
        "name": table.name,
        "profile": table.profile,
        "watermark": table.watermark,
        "metrics": [dataclasses.asdict(metric) for metric in table.metrics],
        "rows": [
            {
                "group": row.group,
                "label": row.label,
                "ceiling": row.ceiling,
                "state": row.state,
                "reason": row.reason,
                "cells": {cell.column: dataclasses.asdict(cell) for cell in row.cells},
            }
            for row in table.rows
        ],
        "claims": [dataclasses.asdict(claim) for claim in table.claims],
        "provenance": table.provenance,
    }
