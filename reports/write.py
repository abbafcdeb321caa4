"""Writing of every form of a table beside its ``table.json``."""

from pathlib import Path

import nbformat
import numpy as np

from lightning_mmdiff.runtime.files import atomic_path, write_json
from reports import notebook, pages
from reports.latex import full, latex
from reports.markdown import markdown
from reports.results import load_table
from reports.schema import TableResult
from reports.table_folder import TableFolder
from reports.values import as_json, csv


def write_all(folder: str | Path, *, with_notebook: bool = True) -> list[Path]:
    """Write metrics.json, Markdown, LaTeX, CSV, the executed notebook and the page, each atomically.

    A notebook that was made from the same inputs is kept and not executed again.

    Args:
        folder: folder of ``table.json``.
        with_notebook: False skips the notebook, which needs a Jupyter kernel.

    Returns:
        The paths of the files, written or kept.

    Raises:
        UserError: if ``table.json`` is missing or is not a table.
        NotebookError: if the notebook cannot be executed; all other files, HTML included, are written by then.
    """
    files = TableFolder(Path(folder).resolve())
    table = load_table(files.table)
    write_json(files.metrics, as_json(table))
    paths = [
        files.metrics,
        write_text(files.markdown, markdown(table)),
        write_text(files.latex, latex(table)),
        write_text(files.full_latex, full(table)),
        write_text(files.csv, csv(table)),
    ]
    _write_replicates(files.replicates, table)
    page = files.page(table.name)
    if with_notebook:
        try:
            paths.append(_write_notebook(table, files.notebook(table.name)))
        finally:
            write_text(page, pages.standalone(table))
        return [*paths, page]
    return [*paths, write_text(page, pages.standalone(table))]


def _write_replicates(path: Path, table: TableResult) -> None:
    """Write the bootstrap replicates behind every cell, with which the notebook computes intervals again."""
    found = {
        f"{number}/{run.seed}/{protocol}": replicates.astype(np.float32)
        for number, row in enumerate(table.rows)
        for run in row.runs
        for protocol, replicates in run.replicates.items()
    }
    if found:
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, **found)  # type: ignore[arg-type]


def _write_notebook(table: TableResult, path: Path) -> Path:
    """Write the notebook unless it is current; return its path."""
    if not notebook.is_current(path, notebook.fingerprint(table)):
        executed, _ = notebook.make(table.folder)
        with atomic_path(path) as temporary:
            nbformat.write(executed, temporary)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a file completely or not at all; return its path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
