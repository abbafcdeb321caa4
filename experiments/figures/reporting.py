"""Files that the reports package reads: table.json, paper.json, galleries. The numbers stay in the run folders."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from experiments import INDEX
from experiments.core.provenance import environment, is_first_process
from experiments.core.run_config import as_json
from experiments.core.workspace import Workspace
from experiments.figures import galleries, sheets
from experiments.figures import influence as influence_figures
from experiments.figures.comparisons import comparisons
from experiments.protocols import influence
from experiments.protocols import score as scoring
from experiments.protocols.samples import Samples
from experiments.spec import Row, Table
from lightning_mmdiff.callbacks.shards import missing_shards
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import stored_json
from reports.index import write_index
from reports.render import show
from reports.results import load_table
from reports.table_folder import TableFolder
from reports.write import write_all

MAX_ROWS = 6
"""Number of table rows per sheet, so that a sheet fits a page."""


def announce(workspace: Workspace, tables: Sequence[Table], papers: Sequence[Table], command: str) -> None:
    """Write table.json, paper.json and the index if missing or outdated, so that a report can be made before the runs end.

    Args:
        workspace: locations of data and runs.
        tables: one table per seed.
        papers: the same tables at the paper profile, whose run configs ours are compared with.
        command: command that makes the table.
    """
    folder = TableFolder.of(workspace.runs, tables[0].name)
    write_index(workspace.runs, INDEX)
    rows = [pair for ours, theirs in zip(tables, papers) for pair in zip(ours.rows, theirs.rows)]
    twins = {ours.sample.name: as_json(theirs.sample) for ours, theirs in rows if ours.sample and theirs.sample}
    if stored_json(folder.paper) != json.loads(json.dumps(twins)):
        write_json(folder.paper, twins)
    old, new = stored_json(folder.table), _description(workspace, tables, folder.path, command)
    if any(old.get(key) != json.loads(json.dumps(new[key])) for key in ("metrics", "rows", "claims")):
        write_json(folder.table, {**new, "galleries": old.get("galleries", [])})


def report(workspace: Workspace, tables: Sequence[Table], papers: Sequence[Table], command: str) -> None:
    """Write every form of the report and print the table; of the processes of one job, only in the first.

    Args:
        workspace: locations of data and runs.
        tables: one table per seed.
        papers: the same tables at the paper profile.
        command: command that makes the table.
    """
    if not is_first_process():
        return
    announce(workspace, tables, papers, command)
    folder = TableFolder.of(workspace.runs, tables[0].name)
    description = {
        **_description(workspace, tables, folder.path, command),
        "galleries": _pictures(workspace, tables[0], folder),
    }
    write_json(folder.table, _with_older_date(description, folder.table))
    show(load_table(folder.table))
    paths = write_all(folder.path)
    Console(highlight=False).print("\nWritten: " + ", ".join(os.path.relpath(p) for p in paths), soft_wrap=True)


def _with_older_date(description: dict[str, Any], path: Path) -> dict[str, Any]:
    """Give ``description`` the date of the file at ``path`` if nothing else differs, so that its notebook stays current."""
    old = stored_json(path)
    before = old.get("provenance")
    if not isinstance(before, dict):
        return description
    dated = {**description, "provenance": {**description["provenance"], "date": before.get("date")}}
    return dated if json.loads(json.dumps(dated)) == old else description


def _description(workspace: Workspace, tables: Sequence[Table], folder: Path, command: str) -> dict[str, Any]:
    first = tables[0]
    return {
        "name": first.name,
        "title": first.title,
        "paper": first.paper,
        "profile": workspace.profile,
        "notes": list(first.notes),
        "command": command,
        "metrics": [{**asdict(m), "source": first.source_of(m)} for m in first.metrics],
        "rows": [_row(workspace, [t.rows[i] for t in tables], folder) for i in range(len(first.rows))],
        "claims": [{**asdict(c), "published": None} for c in first.claims],  # the report reads the pair off the rows
        "figures": [asdict(figure) for figure in first.figures],
        "evaluators": list(dict.fromkeys(run.name for table in tables for run in table.evaluators)),
        "provenance": {**environment(), "date": datetime.now(UTC).isoformat(timespec="seconds")},
    }


def _row(workspace: Workspace, rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    first = rows[0]
    runs = [
        {"seed": seed, "name": r.sample.name, "folder": os.path.relpath(workspace.runs / r.sample.name, folder)}
        for seed, r in enumerate(rows)
        if r.sample is not None
    ]
    return {
        "group": first.group,
        "label": first.label,
        "published": first.published,
        "why": first.why,
        "best_of": list(first.best_of),
        "ceiling": first.sample is not None and first.sample.method.is_real,
        "runs": runs,
    }


def _pictures(workspace: Workspace, table: Table, folder: TableFolder) -> list[dict[str, Any]]:
    """Draw what can be drawn; without data or with damaged images, say so and keep the pictures that there are."""
    try:
        return _drawn(workspace, table, folder)
    except UserError as error:
        Console(highlight=False).print(f"No new pictures: {escape(str(error))}", soft_wrap=True)
        return stored_json(folder.table).get("galleries", [])


def _drawn(workspace: Workspace, table: Table, files: TableFolder) -> list[dict[str, Any]]:
    """Draw the sheets of the first seed, unless they are newer than every result; rows without their images wait."""
    wanted = [
        r for r in table.rows if r.sample is not None and r.sample.method.makes_images and not r.sample.method.is_real
    ]
    rows = [row for row in wanted if _has_images(workspace, row)]
    parts = [rows[i : i + MAX_ROWS] for i in range(0, len(rows), MAX_ROWS)]
    parsed = "; below each row what the face parser sees" if _has_parser(workspace, table) else ""
    which = "Test images 0, 1, 2, ..., or the first of each class where there are ten,"
    absent = (
        f" Not sampled yet: {'; '.join(r.label for r in wanted if r not in rows)}." if len(rows) < len(wanted) else ""
    )
    caption = f"{which} with their own conditions, training seed 0{parsed}.{absent}"
    old = {e["file"]: e for e in stored_json(files.table).get("galleries", []) if "strips" in e}
    entries = []
    for number, part in enumerate(parts, 1):
        file = files.path / f"gallery-{number}.png"
        title = "Samples" if len(parts) == 1 else f"Samples, sheet {number} of {len(parts)}"
        folders = [RunFolder(workspace.runs / r.sample.name) for r in part if r.sample]
        if file.name in old and _is_newer(file, [path for run in folders for path in (run.samples, run.metrics)]):
            entries.append({**old[file.name], "title": title, "caption": caption})
        else:
            entries.append(_draw(workspace, table, part, file, title, caption))
    influences = [r for r in rows if r.sample and r.sample.method.has_influence] if table.influence else []
    entries += [_influence(workspace, table, row, files.path, i) for i, row in enumerate(influences, 1)]
    return [*entries, *comparisons(workspace, table, files)]


def _has_images(workspace: Workspace, row: Row) -> bool:
    """Return whether all images of a row are on disk."""
    run = row.sample
    return run is not None and not missing_shards(
        RunFolder(workspace.runs / run.name).samples, run.num_images, run.shard_size
    )


def _influence(workspace: Workspace, table: Table, row: Row, folder: Path, number: int) -> dict[str, Any]:
    """Draw the influence in a collaborative row of the first seed: maps, and lines over time."""
    evaluation = _evaluation(workspace, table, row)
    caption = "First samples; below them the influence of each modality at five times."
    strips = list(influence_figures.influence_strips(galleries.title_of(row), evaluation))
    path = folder / f"influence-{number}.png"
    entry = sheets.write(path, f"Influence: {row.label}", caption, strips, bar=influence_figures.color_bar())
    mean = (
        f"Mean over the first {influence.NUM_IMAGES} samples, training seed 0. Contours: pixels next to another class."
    )
    return {**entry, "figures": [asdict(influence_figures.over_time(row.label, evaluation, mean))]}


def _evaluation(workspace: Workspace, table: Table, row: Row) -> Samples:
    """Return the samples of a row's finished run, with data and evaluators."""
    assert row.sample is not None
    evaluators = scoring.Evaluators({run.name: run for run in table.evaluators}, workspace.runs)
    data = workspace.open(row.sample.data)
    data.setup()
    return Samples(workspace.runs / row.sample.name, row.sample, evaluators, data)


def _has_parser(workspace: Workspace, table: Table) -> bool:
    """Return whether the table's face parser is trained, if it has one."""
    return any(
        run.name == "face-parser" and RunFolder(workspace.runs / run.name).is_trained for run in table.evaluators
    )


def _is_newer(file: Path, others: Sequence[Path]) -> bool:
    return file.exists() and all(file.stat().st_mtime > o.stat().st_mtime for o in others if o.exists())


def _draw(
    workspace: Workspace, table: Table, rows: Sequence[Row], path: Path, title: str, caption: str
) -> dict[str, Any]:
    """Draw a sheet of some rows; conditions are repeated where they look different, captions stand where all rows share them."""
    strips: list[galleries.Strip] = []
    above: list[galleries.Strip] = []
    texts = set()
    for row in rows:
        evaluation = _evaluation(workspace, table, row)
        conditions = list(galleries.condition_strips(evaluation))
        if not galleries.are_equal(conditions, above):
            strips += conditions
            above = conditions
        strips += galleries.sample_strips(row, evaluation, parsed=_has_parser(workspace, table))
        texts.add(galleries.captions(evaluation))
    return sheets.write(path, title, caption, strips, captions=texts.pop() if len(texts) == 1 else ())


def show_current(workspace: Workspace, tables: Sequence[Table], command: str) -> bool:
    """Print the report again if it is there and nothing that it says has changed since; return whether it was.

    Args:
        workspace: locations of data and runs.
        tables: one table per seed.
        command: command that makes the table.
    """
    folder, name = TableFolder.of(workspace.runs, tables[0].name), tables[0].name
    old, new = stored_json(folder.table), _description(workspace, tables, folder.path, command)
    new = json.loads(json.dumps({**new, "galleries": old.get("galleries")}))
    page = folder.page(name)
    samples = [row.sample.name for table in tables for row in table.rows if row.sample]
    if _with_older_date(new, folder.table) != old or not _is_newer(
        page, [RunFolder(workspace.runs / sample).metrics for sample in samples]
    ):
        return False
    show(load_table(folder.table))
    Console(highlight=False).print(f"\nNothing to do. The report is {os.path.relpath(page)}", soft_wrap=True)
    return True
