"""``python -m experiments``: a list of the tables, what they show, what they cost and how far they have come."""

from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table as Grid

from experiments import INDEX
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.stored import stored_json
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


def main(out: Path = Path("runs")) -> None:
    """List every table.

    Args:
        out: root of all run folders.
    """
    grid = Grid(title="python -m experiments.<name> --profile {smoke,mini,paper}", show_lines=True)
    for heading in ("name", "from", "shows", "mini, 2 CPU cores", "paper", "state at mini"):
        grid.add_column(heading)
    for e in INDEX:
        grid.add_row(e.name, e.source, e.shows, e.mini, e.paper, state(TableFolder.of(out / "mini", e.name)))
    Console(highlight=False).print(grid)


if __name__ == "__main__":
    with readable_end():
        tyro.cli(main)
