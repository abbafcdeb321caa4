"""Renders tables again from what is on disk, measuring nothing: ``python -m reports table1 --profile mini``."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from reports.render import show
from reports.results import load_table
from reports.write import write_all


def main(
    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    profile: Literal["smoke", "mini", "paper"] = "mini",
    out: Path = Path("runs"),
    notebook: bool = True,
) -> None:
    """Print tables and write their files.

    Args:
        tables: names, such as table1; none means every table of the profile.
        profile: which experiments.
        out: folder of all runs.
        notebook: whether to execute the report notebook.
    """
    root = out / profile / "tables"
    there = sorted(path.parent.name for path in root.glob("*/table.json"))
    unknown = sorted(set(tables) - set(there))
    if unknown or not there:
        wanted = f"no table.json for {', '.join(unknown)}" if unknown else "no tables"
        raise ValueError(
            f"{root}: {wanted}; there: {', '.join(there) or 'nothing'}. "
            f"Run python -m experiments.{(unknown or ['table1'])[0]} --profile {profile} first."
        )
    for name in tables or there:
        show(load_table(root / name / "table.json"))
        for path in write_all(root / name, with_notebook=notebook):
            print(path)


if __name__ == "__main__":
    try:
        tyro.cli(main, prog="python -m reports")
    except (ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")
