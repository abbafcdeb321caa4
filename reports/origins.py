"""Where the numbers of a recorded table come from: commits and machines of every row, and of the models that measure."""

from collections.abc import Iterable
from typing import Any

from reports.runs import evaluators, stages
from reports.schema import Row, Stage, TableResult
from reports.table_folder import TableFolder

TIME = "MillisecondsPerImage"
"""A number of the machine, with another value for each training, but of no number of images."""


def origins(table: TableResult) -> list[dict[str, Any]]:
    """Return the commits and machines behind a table, each with the titles of the rows, or the models, that they made.

    A row that is the best of others has theirs; + marks local changes.
    """
    if "origins" in table.provenance:
        return list(table.provenance["origins"])
    by_label = {row.label: row for row in table.rows}
    made = {row.title: _stages([by_label[label] for label in row.chosen] or [row]) for row in table.measured}
    made |= {place.name: list(stages(place)) for place in evaluators(TableFolder(table.folder))}
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for name, behind in made.items():
        commits = dict.fromkeys(f"{stage.commit}{'+' if stage.dirty else ''}" for stage in behind if stage.commit)
        machines = dict.fromkeys(stage.hardware for stage in behind if stage.hardware)
        found.setdefault((tuple(commits), tuple(machines)), []).append(name)
    return [{"commits": list(c), "hardware": list(m), "made": names} for (c, m), names in found.items() if c or m]


def _stages(rows: Iterable[Row]) -> list[Stage]:
    return [stage for row in rows for run in row.runs for stage in run.stages]


def gaps(table: TableResult) -> list[str]:
    """Return what the numbers of a table do not say: commits and machine of a row, seeds and images of a number."""
    found = []
    for origin in origins(table):
        lost = [what for what in ("commits", "hardware") if not origin[what]]
        found += [f"{name}: no {what}" for name in origin["made"] for what in lost]
    known = {name for origin in origins(table) for name in origin["made"]}
    found += [f"{row.title}: no origin" for row in table.measured if row.title not in known]
    for row in table.measured:
        for cell in row.cells:
            if cell.value is not None:
                found += [f"{row.title}, {cell.protocol}: no seed"] if not cell.seeds else []
                of_images = cell.over and cell.protocol != TIME
                found += [f"{row.title}, {cell.protocol}: no n"] if of_images and cell.n is None else []
    for claim in table.claims:
        if claim.difference is not None:
            found += [f"{claim.id}, {claim.protocol}: no seed"] if not claim.seeds else []
            found += [f"{claim.id}, {claim.protocol}: no n"] if claim.over and claim.n is None else []
    return found
