"""The numbers of a table as plain values: a line for each cell, or JSON."""

import dataclasses
from typing import Any

import pandas as pd

from reports import basis
from reports.galleries import Gallery
from reports.schema import TableResult


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
            "source": metric.source,
            "value": cell.value,
            "low": cell.interval[0] if cell.interval else None,
            "high": cell.interval[1] if cell.interval else None,
            "interval_over": cell.over,
            "interval_cut": cell.cut,
            "n": cell.n,
            "reference": cell.reference,
            "seeds": " ".join(map(str, cell.seeds)),
            "seed_values": " ".join(map(repr, cell.seed_values)),
            "published": cell.printed or None,
            "verdict": cell.verdict,
            "reason": cell.reason,
            "best": cell.best,
            "commits": basis.commits(row) or table.provenance.get("commit"),
            "hardware": basis.hardware(row) or table.provenance.get("hardware"),
        }
        for row in table.rows
        for metric, cell in zip(table.metrics, row.cells, strict=True)
    ).astype({"n": "Int64"})


def as_json(table: TableResult) -> dict[str, Any]:
    """Return the aggregated cells and the decided claims as plain values."""
    return {
        "name": table.name,
        "profile": table.profile,
        "title": table.title,
        "paper": table.paper,
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
        "galleries": [_gallery(gallery) for gallery in table.galleries],
        "figures": [dataclasses.asdict(figure) for figure in table.figures],
        "provenance": table.provenance,
    }


def _gallery(gallery: Gallery) -> dict[str, Any]:
    """Return a gallery, its files as names beside the table."""
    strips = [{"label": s.label, "row": s.row, "file": s.file.name} for s in gallery.strips]
    return {**dataclasses.asdict(gallery), "file": gallery.file.name, "strips": strips}


def csv(table: TableResult) -> str:
    """Return one line for each cell, every field raw and unrounded."""
    return frame(table).to_csv(index=False)
