"""Writing of every form of a table beside its ``table.json``."""

from pathlib import Path

import nbformat

from lightning_mmdiff.runtime.files import atomic_path, write_json
from reports import notebook, pages
from reports.latex import latex
from reports.markdown import markdown
from reports.results import load_table
from reports.schema import TableResult
from reports.table_folder import TableFolder
from reports.values import as_json, csv


def write_all(folder: str | Path, *, with_notebook: bool = True) -> list[Path]:
    """Write metrics.json, Markdown, LaTeX, CSV, the executed notebook and its HTML, each atomically.

    A notebook that was made from the same inputs is kept and not executed again.

    Args:
        folder: folder of ``table.json``.
        with_notebook: False skips the notebook, which needs a Jupyter kernel, and makes the HTML without it.

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
        write_text(files.csv, csv(table)),
    ]
    page = files.page(table.name)
    if not with_notebook:
        return [*paths, write_text(page, pages.standalone(table))]
    return [*paths, _write_notebook(table, files.notebook(table.name), page), page]


def _write_notebook(table: TableResult, path: Path, page: Path) -> Path:
    """Write notebook and page unless they are current; return the notebook's path."""
    if page.is_file() and notebook.is_current(path, notebook.fingerprint(table)):
        return path
    try:
        executed, table = notebook.make(table.folder)
    except notebook.NotebookError:
        write_text(page, pages.standalone(table))
        raise
    with atomic_path(path) as temporary:
        nbformat.write(executed, temporary)
    write_text(page, notebook.page(executed, table))
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a file completely or not at all; return its path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
