"""Reports from results on disk; nothing is measured.

``python -m reports`` writes a site of all tables; ``python -m reports table1 --profile mini`` prints tables and writes
their files; ``python -m reports record runs/mini table1`` keeps its numbers in ``docs/results``, and
``python -m reports results`` writes ``docs/results.md`` from what is kept there. ``python -m reports contradictions runs/mini
table1`` says which of the kept decisions other runs speak against, ``python -m reports pictures runs/mini`` draws the pictures
of the page.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lightning_mmdiff.errors import UserError, did_you_mean
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.links import require_own
from reports import contradictions, doc_pictures, origins, recorded, results_page
from reports.index import read_index
from reports.notebook import NotebookError
from reports.render import show
from reports.results import load_table
from reports.site import write_site
from reports.table_folder import TableFolder, tables_folder
from reports.write import write_all, write_text


def main(
    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    profile: Literal["smoke", "mini", "paper", "released"] = "mini",
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
    require_own(profile)
    there = [folder.name for folder in TableFolder.written(profile)]
    unknown = sorted(set(names) - set(there))
    if unknown:
        known = [entry.name for entry in read_index(profile)]
        hint = "." if unknown[0] in known else did_you_mean(unknown[0], [*there, *known])
        raise UserError(
            f"{tables_folder(profile)}: no table.json for {', '.join(unknown)}; there: {', '.join(there) or 'nothing'}"
            f"{hint} python -m experiments lists the tables and says how far each has come."
        )
    for name in names:
        folder = TableFolder.of(profile, name)
        show(load_table(folder.table))
        for path in write_all(folder.path, with_notebook=notebook):
            print(path)


def record(
    runs: Annotated[Path, tyro.conf.Positional],
    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    docs: Path = Path("docs"),
) -> None:
    """Keep the numbers of tables in DOCS/results, so that they outlive their runs; then write the page.

    Args:
        runs: folder of a profile, such as runs/mini.
        tables: names such as table1; without any, all tables that are there.
        docs: folder of the page.
    """
    for name in _there(runs, tables):
        path = results_page.record(runs, name, docs / "results")
        print(path)
        for gap in origins.gaps(recorded.read(path)):
            print(f"  {gap}")
    results(docs=docs)


def _there(runs: Path, tables: Sequence[str]) -> Sequence[str]:
    """Return the named tables, or all that a folder of runs has.

    Raises:
        UserError: if one is not there.
    """
    there = [folder.name for folder in TableFolder.written(runs)]
    if unknown := sorted(set(tables) - set(there)) or ([] if there else ["any table"]):
        raise UserError(
            f"{tables_folder(runs)}: no table.json for {', '.join(unknown)}; there: {', '.join(there) or 'nothing'}."
        )
    return tables or there


def results(*, docs: Path = Path("docs")) -> None:
    """Write DOCS/results.md from the tables and texts in DOCS/results.

    Args:
        docs: folder of the page.
    """
    print(write_text(docs / "results.md", results_page.generate(docs / "results")))


def find_contradictions(
    runs: Annotated[Path, tyro.conf.Positional],
    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    docs: Path = Path("docs"),
) -> None:
    """Say which decisions in DOCS/results these runs speak against; exit with 1 if they contradict one.

    Args:
        runs: folder of a profile, such as runs/mini; one training seed is enough.
        tables: names such as table1; without any, all that are there and recorded.
        docs: folder of the page.
    """
    kept = docs / "results"
    names = [name for name in _there(runs, tables) if tables or (kept / f"{name}.json").exists()]
    if not names:
        raise UserError(f"{kept} has none of the tables in {runs}.")
    wrong = 0
    for name in names:
        table, before = load_table(TableFolder.of(runs, name).table), recorded.read(kept / f"{name}.json")
        print(contradictions.text(table, before))
        wrong += contradictions.count(table, before)
    sys.exit(bool(wrong))


def pictures(
    runs: Annotated[Path, tyro.conf.Positional],
    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    docs: Path = Path("docs"),
) -> None:
    """Draw the pictures that the texts in DOCS/results ask for; those of tables that are not in these runs stay.

    Args:
        runs: folder of a profile, such as runs/mini.
        tables: names such as table1; without any, all tables that are there.
        docs: folder of the pictures.

    Raises:
        UserError: after all others, if some cannot be drawn.
    """
    troubles = []
    for name in _there(runs, tables):
        try:
            for path in doc_pictures.draw(runs, name, docs):
                print(path)
        except UserError as error:
            troubles.append(str(error))
    if troubles:
        raise UserError(" ".join(troubles))


COMMANDS: dict[str, Callable[..., None]] = {
    "record": record,
    "results": results,
    "contradictions": find_contradictions,
    "pictures": pictures,
}


def command(words: Sequence[str]) -> tuple[Callable[..., None], Sequence[str]]:
    """Return what ``python -m reports WORDS`` calls, and the words that are its arguments."""
    found = COMMANDS.get(words[0]) if words else None
    return (found, words[1:]) if found else (main, words)


if __name__ == "__main__":
    with readable_end("copy the runs to a writable folder, name it by --out"):
        function, arguments = command(sys.argv[1:])
        name = "" if function is main else f" {sys.argv[1]}"
        tyro.cli(function, args=arguments, prog=f"python -m reports{name}")
