"""Rows whose every number is the best of some other rows, as a paper reports one method under several settings."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from reports.schema import Metric, Row


def filled(rows: Sequence[Row], stored: Sequence[Mapping[str, Any]], metrics: Sequence[Metric]) -> tuple[Row, ...]:
    """Return ``rows``, of which those that are the best of others get the others' best values, and say whose they are.

    Such a choice is made on the images that it is measured on, so the best of equal rows looks better than they are; the
    values therefore have no interval. Numbers that are neither better nor worse are left out.

    Args:
        rows: rows in the order of ``stored``.
        stored: rows of ``table.json``; "best_of" lists the labels of the other rows, if there are any.
        metrics: columns.
    """
    by_label = {row.label: row for row in rows}
    found = []
    for row, described in zip(rows, stored, strict=True):
        labels = described.get("best_of", ())
        found.append(_best(row, [by_label[label] for label in labels], metrics) if labels else row)
    return tuple(found)


def _best(row: Row, others: Sequence[Row], metrics: Sequence[Metric]) -> Row:
    """Return ``row`` with the best cell of each column; pending until all others are measured."""
    names = ", ".join(labels := tuple(other.label for other in others))
    if waiting := [other.label for other in others if other.state != "measured"]:
        return dataclasses.replace(row, state="pending", reason=f"the best of {names}; waits for {', '.join(waiting)}")
    cells, chosen = [], []
    for i, metric in enumerate(metrics):
        known = [other for other in others if other.cells[i].value is not None]
        if metric.better == "neither" or not known:
            cells.append(row.cells[i])
            continue
        sign = 1 if metric.better == "higher" else -1
        best = max(known, key=lambda other: sign * (other.cells[i].value or 0.0))
        cells.append(dataclasses.replace(
            best.cells[i], interval=None, over="", cut=False, published=row.cells[i].published,
            printed=row.cells[i].printed, verdict=None, reason=f"that of {best.label}",
        ))  # fmt: skip
        chosen.append(f"{metric.column}: {best.label}")
    reason = f"the best of {names} in each column, chosen on the same images ({'; '.join(chosen)})"
    return dataclasses.replace(row, state="measured", reason=reason, cells=tuple(cells), chosen=labels)
