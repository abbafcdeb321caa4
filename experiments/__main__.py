"""``python -m experiments``: a list of the tables, what they cost and how far they have come."""

import sys
from itertools import groupby
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table as Grid

from experiments import INDEX, Profile, find_table
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.stored import stored_json
from reports.schema import Entry
from reports.table_folder import TableFolder


def state(folder: TableFolder) -> str:
    """Return how far a table has come, judging by the report it left on disk."""
    if not folder.metrics.exists():
        return "-"
    report = stored_json(folder.metrics)
    if not {"rows", "claims"} <= report.keys():
        return "damaged; make the report again"
    measured = sum(row["state"] == "measured" for row in report["rows"])
    decided = [claim["decision"] for claim in report["claims"]]
    counts = ", ".join(f"{decided.count(d)} {d}" for d in ("holds", "fails", "undecided", "open") if d in decided)
    return f"{measured} of {len(report['rows'])} rows" + (f"; claims: {counts}" if counts else "")


def list_tables(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    profile: Profile = "mini",
    out: Path = Path("runs"),
) -> None:
    """List every table in one line, or show all that is known about some.

    Args:
        names: names of tables to show in full.
        profile: profile whose runs are looked at.
        out: root of all run folders.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    entries = [find_table(name) for name in names]
    for entry in entries:
        console.print(f"[bold]{entry.name}[/]: {entry.source}. {entry.shows}.")
        console.print(f"  mini: {entry.mini}; paper: {entry.paper}")
        console.print(f"  state at {profile}: {state(TableFolder.of(out / profile, entry.name))}")
    if not entries:
        console.print(_grid(profile, out))
        console.print("mmdiff run NAME --profile {smoke,mini,paper,released}; mmdiff list NAME says more")


def _grid(profile: Profile, out: Path) -> Grid:
    """Return one row for each table, below the paper that it is from; long notes are wrapped."""
    grid = Grid(box=None, pad_edge=False)
    grid.add_column("name", no_wrap=True, min_width=max(len(entry.name) for entry in INDEX))
    for heading, width in (("from", 14), ("mini, 2 cores", 21), (f"state at {profile}", None)):
        grid.add_column(heading, overflow="fold", max_width=width)
    for paper, entries in groupby(INDEX, _paper):
        grid.add_row(f"[bold]{paper.partition(' (')[0].partition(':')[0]}[/]")
        for e in entries:
            place = e.source.removeprefix(paper).lstrip(", ") or "-"
            grid.add_row(e.name, place, e.mini, state(TableFolder.of(out / profile, e.name)))
    return grid


def _paper(entry: Entry) -> str:
    """Return the name of the paper that a table is from, with its year."""
    return entry.source.partition("), ")[0] + (")" if "), " in entry.source else "")


if __name__ == "__main__":
    with readable_end():
        tyro.cli(list_tables, prog="python -m experiments")
