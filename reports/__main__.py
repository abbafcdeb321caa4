"""Reports from results on disk; nothing is measured.

``python -m reports`` writes a site of all tables; ``python -m reports table1 --profile mini`` prints tables and writes
their files.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lightning_mmdiff.errors import UserError
from reports.index import read_index
from reports.notebook import NotebookError
from reports.render import show
from reports.results import load_table
from reports.site import write_site
from reports.table_folder import TableFolder, tables_folder
from reports.write import write_all


def main(
    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    profile: Literal["smoke", "mini", "paper"] = "mini",
    out: Path = Path("runs"),
    notebook: bool = True,
) -> None:
    """Print tables and write their files; without a table, write a site of all tables.

    Args:
        tables: names such as table1; without any, a site of all tables, finished or not, is written to OUT/PROFILE/site.
        profile: profile of the experiments.
        out: root folder of all runs.
        notebook: whether to execute the report notebooks.
    """
    if tables:
        _write_tables(tables, out / profile, notebook)
        return
    index, troubles = write_site(out / profile, read_index(out / profile), with_notebooks=notebook)
    print(index)
    if troubles:
        raise NotebookError("the site lacks a notebook: " + "; ".join(troubles))


def _write_tables(names: Sequence[str], profile: Path, notebook: bool) -> None:
    there = [folder.name for folder in TableFolder.written(profile)]
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise UserError(
            f"{tables_folder(profile)}: no table.json for {', '.join(unknown)}; there: {', '.join(there) or 'nothing'}. "
            f"Run python -m experiments.{unknown[0]} --profile {profile.name} first."
        )
    for name in names:
        folder = TableFolder.of(profile, name)
        show(load_table(folder.table))
        for path in write_all(folder.path, with_notebook=notebook):
            print(path)


if __name__ == "__main__":
    try:
        tyro.cli(main, prog="python -m reports")
    except UserError as error:
        sys.exit(f"error: {error}")
