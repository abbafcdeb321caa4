"""Tables kept in the repository without their runs: ``docs/results/<table>.json``, distilled from a folder of runs.

A file has one line for each column, row and claim; fields without a value are left out.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_mmdiff.errors import UserError
from reports import origins
from reports.schema import Cell, Claim, Metric, Row, TableResult

DIGITS = 6  # significant ones
KEPT = ("commit", "dirty", "hardware", "date", "runs", "origins", "costs")
NO_CELL = Cell(
    column="", protocol="", value=None, interval=None, over="", cut=False, n=None, reference="", seeds=(), seed_values=(),
    published=None, printed="", verdict=None, reason="", best=False,
)  # fmt: skip
NO_CLAIM = Claim(
    id="", text="", metric="", protocol="", better="", worse="", source="", printed=None, contradicted=False, note="",
    decision="open", reason="", difference=None, interval=None, over="", n=None, seeds=(), obstacle="",
)  # fmt: skip


def write(table: TableResult, path: Path) -> None:
    """Write the measured rows and the claims of ``table``, with the origin of its numbers.

    Raises:
        UserError: if its numbers mean nothing, or there are none.
    """
    if table.watermark or not table.measured:
        raise UserError(f"{table.name} has no numbers worth keeping: {table.watermark or 'no row is measured'}.")
    behind = origins.origins(table)
    commits = dict.fromkeys(
        [*table.provenance.get("runs", ()), *(text for origin in behind for text in origin["commits"])]
    )
    runs = [text for text in commits if text != table.provenance.get("commit")]
    provenance = {**table.provenance, "runs": runs, "origins": behind}
    head = {key: getattr(table, key) for key in ("name", "title", "paper", "profile", "command")}
    parts = [f'"{key}": {_line(value)}' for key, value in head.items()]
    parts.append(f'"provenance": {_line({key: provenance[key] for key in KEPT if provenance.get(key)})}')
    parts.append(_lines("metrics", [dataclasses.asdict(metric) for metric in table.metrics]))
    parts.append(_lines("rows", [_row(row) for row in table.measured]))
    parts.append(_lines("claims", [_without_defaults(claim, NO_CLAIM) for claim in table.claims]))
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _row(row: Row) -> dict[str, Any]:
    cells = {cell.column: _without_defaults(cell, NO_CELL) for cell in row.cells}
    cells = {
        column: {k: v for k, v in cell.items() if k not in ("column", "protocol")} for column, cell in cells.items()
    }
    return {"group": row.group, "label": row.label, "ceiling": row.ceiling, "reason": row.reason, "cells": cells}


def _without_defaults(value: Cell | Claim, default: Cell | Claim) -> dict[str, Any]:
    empty = dataclasses.asdict(default)
    return {key: item for key, item in dataclasses.asdict(value).items() if item != empty[key]}


def _line(value: Any) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False)


def _lines(key: str, values: list[dict[str, Any]]) -> str:
    return f'"{key}": [\n' + ",\n".join(f" {_line(value)}" for value in values) + "\n]"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def read(path: Path) -> TableResult:
    """Return a recorded table, without its runs and pictures.

    Raises:
        UserError: if the file is missing or is no recorded table.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        metrics = tuple(Metric(**_tuples(m)) for m in stored["metrics"])
        return TableResult(
            **{key: stored[key] for key in ("name", "title", "paper", "profile", "command", "provenance")},
            notes=(),
            metrics=metrics,
            rows=tuple(_read_row(row, metrics) for row in stored["rows"]),
            claims=tuple(dataclasses.replace(NO_CLAIM, **_tuples(claim)) for claim in stored["claims"]),
            galleries=(),
            figures=(),
            folder=path.parent,
        )
    except OSError as error:
        raise UserError(f"{path}: no such file; python -m reports record RUNS writes it.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no recorded table ({type(error).__name__}: {error}); record it again.") from error


def _read_row(stored: Mapping[str, Any], metrics: tuple[Metric, ...]) -> Row:
    cells = tuple(
        dataclasses.replace(
            NO_CELL, column=metric.column, protocol=metric.protocol, **_tuples(stored["cells"].get(metric.column, {}))
        )
        for metric in metrics
    )
    return Row(
        group=stored["group"], label=stored["label"], ceiling=stored["ceiling"], state="measured",
        reason=stored["reason"], cells=cells, runs=(),
    )  # fmt: skip


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
