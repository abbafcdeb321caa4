"""Reading of ``table.json`` and the run folders it names into a ``TableResult``: means, intervals, verdicts, claims."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.links import is_name
from lightning_mmdiff.runtime.stored import read_json
from reports import best_of
from reports.claims import decide
from reports.galleries import read_figure, read_gallery
from reports.old_configs import upgrade
from reports.runs import load_run, side_json
from reports.schema import Cell, Interval, Metric, Over, Row, Run, Score, State, TableResult
from reports.statistics import cut, share_interval, t_interval
from reports.table_folder import TableFolder
from reports.verdicts import known_better, verdict_of

FIELDS = (
    *("name", "title", "paper", "profile", "notes", "command"),
    *("metrics", "rows", "claims", "galleries", "provenance"),
)


def load_table(path: str | Path) -> TableResult:
    """Return the table at ``path`` with everything that its runs currently have on disk."""
    path = Path(path).resolve()
    stored = _read(path)
    metrics = tuple(_metric(m, stored) for m in stored["metrics"])
    papers = upgrade(side_json(TableFolder(path.parent).paper))
    decimals = {
        m.column: _usual_decimals((r.get("published") or {}).get(m.column) for r in stored["rows"]) for m in metrics
    }
    rows = tuple(_row(row, metrics, decimals, stored["profile"], path.parent, papers) for row in stored["rows"])
    rows = _mark_best(best_of.filled(rows, stored["rows"], metrics), metrics)
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
        galleries=tuple(read_gallery(g, path) for g in stored["galleries"]),
        figures=tuple(read_figure(f) for place in (stored, *stored["galleries"]) for f in place.get("figures", ())),
        provenance=stored["provenance"],
        folder=path.parent,
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; run the table's own command first (python -m experiments.<table>).")
    try:
        stored = read_json(path)
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}; run the table's own command again to rewrite it.") from error
    if missing := [field for field in FIELDS if field not in stored]:
        raise UserError(f"{path}: lacks {', '.join(missing)}; was it written by python -m experiments.<table>?")
    if not is_name(stored["name"]):
        raise UserError(f"{path}: the name of a table is the name of its files, found {stored['name']!r}.")
    return stored


def _metric(column: dict[str, Any], stored: dict[str, Any]) -> Metric:
    """Return a column; tables of earlier versions do not say whose it is, so there it is the paper's if a row has its number."""
    printed = any(column["column"] in (row.get("published") or {}) for row in stored["rows"])
    return Metric(
        column=column["column"],
        protocol=column["protocol"],
        better=column["better"],
        description=column["description"],
        range=tuple(column.get("range", (None, None))),
        source=column.get("source", stored["paper"] if printed else ""),
        comparable=column.get("comparable", column["protocol"] == column["column"]),
        basis=column.get("basis", ""),
        explanations=tuple(column.get("explanations", ())),
    )


def _usual_decimals(published: Iterable[float | None]) -> int:
    """Return the number of decimals that most published numbers of a column have; the larger one if two are as frequent."""
    counts = Counter(_decimals(value) for value in published if value is not None)
    return max(counts, key=lambda decimals: (counts[decimals], decimals), default=0)


def _decimals(value: float) -> int:
    return len(repr(float(value)).partition(".")[2].rstrip("0"))


def _printed(value: float | None, usual: int) -> str:
    """Return a published number as the paper prints it: a stored number has lost the zeros at its end."""
    return "" if value is None else f"{value:.{max(usual, _decimals(value))}f}"


def _row(
    stored: dict[str, Any],
    metrics: tuple[Metric, ...],
    decimals: dict[str, int],
    profile: str,
    folder: Path,
    papers: dict[str, Any],
) -> Row:
    folders: dict[Path, dict[str, Any]] = {}
    for run in stored["runs"]:  # seeds that share a folder (the ceiling has no training seed) are one measurement
        folders.setdefault(_run_folder(run, folder), run)
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
        cells=tuple(
            dataclasses.replace(
                _cell(metric, runs, published.get(metric.column), profile, state),
                printed=_printed(published.get(metric.column), decimals[metric.column]),
            )
            for metric in metrics
        ),
        runs=runs,
    )


def _run_folder(run: dict[str, Any], folder: Path) -> Path:
    """Return the folder of a run behind the table in ``folder``; one beside the tables of its profile, and no other."""
    path = Path(os.path.normpath(folder / run["folder"]))
    if path.parent != folder.parents[1]:
        raise UserError(
            f"{TableFolder(folder).table}: {run['name']} is said to lie at {path}, which is not in {folder.parents[1]}."
        )
    return path


def _row_state(runs: tuple[Run, ...], why: str | None) -> tuple[State, str]:
    """Return a row's state and reason: measured as soon as one seed is, with what the other seeds lack as the reason."""
    if not runs:
        return "not measured", why or "no reason was given"
    troubles = [f"seed {run.seed}: {_trouble(run)}" for run in runs if run.reason]
    if any(run.state == "measured" for run in runs):
        return "measured", "; ".join(troubles)
    for state in ("failed", "running", "stopped", "pending"):
        found = [run for run in runs if run.state == state]
        if found and len(runs) == 1:
            return found[0].state, found[0].reason
        if found:
            return found[0].state, "; ".join(troubles)
    raise AssertionError("a run is measured, failed, running, stopped or pending")


def _trouble(run: Run) -> str:
    return f"failed: {run.reason}" if run.state == "failed" else run.reason


def _cell(metric: Metric, runs: tuple[Run, ...], published: float | None, profile: str, state: State) -> Cell:
    scored = [run for run in runs if metric.protocol in run.scores]
    scores = [run.scores[metric.protocol] for run in scored]
    values = tuple(score.value for score in scores)
    value = float(np.mean(values)) if values else None
    interval, over = _spread(scores, metric)
    shown = cut(interval, *metric.range) if interval else None
    verdict, reason = verdict_of(known_better(metric, scores), value, interval, published, profile)
    if value is None:
        reasons = [run.unmeasured[metric.protocol] for run in runs if metric.protocol in run.unmeasured]
        unknown = f"no finite {metric.protocol} in metrics.json" if state == "measured" else state
        reason = reasons[0] if reasons else unknown
    return Cell(
        column=metric.column,
        protocol=metric.protocol,
        value=value,
        interval=shown,
        over=over,
        cut=shown != interval,
        n=min((score.n for score in scores if score.n is not None and not score.exact), default=None),
        reference="; ".join(dict.fromkeys(score.reference for score in scores if score.reference)),
        seeds=tuple(run.seed for run in scored),
        seed_values=values,
        published=published,
        printed="",
        verdict=verdict,
        reason=reason,
        best=False,
    )


def _spread(scores: Sequence[Score], metric: Metric) -> tuple[Interval | None, Over]:
    """Return the interval of the mean of ``scores``, one per seed, and what it covers; none for numbers without a spread."""
    values = [score.value for score in scores]
    if all(score.exact for score in scores) and len(set(values)) < 2:
        return None, ""
    if len(values) > 1:
        return t_interval(values, [score.interval for score in scores]), "trainings"
    (score,) = scores
    if score.interval is None:
        return None, ""
    alike = score.interval[0] == score.interval[1]
    if alike and metric.range == (0, 1) and score.value in metric.range and score.n:
        return share_interval(score.value, score.n), "images"
    return score.interval, "images"


def _mark_best(rows: tuple[Row, ...], metrics: tuple[Metric, ...]) -> tuple[Row, ...]:
    """Return the rows with the best measured value of each column marked, if it is one value or at most a third share it.

    The ceiling does not compete, and one row alone is the best of nothing.
    """
    best: list[float | None] = []
    for i, metric in enumerate(metrics):
        values = [v for row in rows if not row.ceiling and (v := row.cells[i].value) is not None]
        first = (min if metric.better == "lower" else max)(values, default=None)
        tied = sum(value == first for value in values)
        decides = metric.better != "neither" and len(values) > 1 and (tied == 1 or 3 * tied <= len(values))
        best.append(first if decides else None)
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
