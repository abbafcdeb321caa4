"""Writes every form of a table beside its ``table.json``."""

import base64
from pathlib import Path

import nbformat

from lightning_mmdiff.files import atomic_path, write_json
from reports import figures, html, notebook, render
from reports.results import as_json, load_table
from reports.schema import TableResult


def write_all(folder: str | Path, *, with_notebook: bool = True) -> list[Path]:
    """Write metrics.json, Markdown, LaTeX, CSV, the executed notebook and its HTML, each atomically.

    A notebook that was made from the same inputs is kept: nothing is executed again.

    Args:
        folder: where ``table.json`` lies.
        with_notebook: False leaves the notebook out, which needs a Jupyter kernel, and makes the HTML without it.

    Returns:
        The files, written or kept.

    Raises:
        ValueError: if ``table.json`` is missing or is not a table.
        RuntimeError: if the notebook cannot be executed; every other file is written by then, HTML included.
    """
    folder = Path(folder).resolve()
    table = load_table(folder / "table.json")
    write_json(folder / "metrics.json", as_json(table))
    paths = [
        folder / "metrics.json",
        _write(folder / "table.md", render.markdown(table)),
        _write(folder / "table.tex", render.latex(table)),
        _write(folder / "table.csv", render.csv(table)),
    ]
    page = folder / f"{table.name}.html"
    if not with_notebook:
        return [*paths, _write(page, _page_without_kernel(table))]
    return [*paths, _write_notebook(table, page), page]


def _write_notebook(table: TableResult, page: Path) -> Path:
    """Write notebook and page unless they are current; returns the notebook's path."""
    path = page.with_suffix(".ipynb")
    if page.is_file() and notebook.is_current(path, notebook.fingerprint(table)):
        return path
    try:
        executed, table = notebook.make(table.folder)
    except RuntimeError:
        _write(page, _page_without_kernel(table))
        raise
    with atomic_path(path) as temporary:
        nbformat.write(executed, temporary)
    _write(page, notebook.page(executed, table))
    return path


def _page_without_kernel(table: TableResult) -> str:
    """The same report from the same fragments, for machines on which no Jupyter kernel starts."""
    parts = [f"<h1>{html.escape_html(table.title)}</h1><p>{html.escape_html(table.paper)}</p><ul>"]
    parts += [f"<li>{html.escape_html(note)}</li>" for note in table.notes]
    parts += ["</ul><h2>Table</h2>", html.results(table), "<h2>Claims</h2>", html.claims(table)]
    parts += ["<h2>Measured values with their intervals</h2>", _embed(figures.plot(table))]
    for i, gallery in enumerate(table.galleries):
        parts += [f"<h3>{html.escape_html(gallery.title)}</h3><p>{html.escape_html(gallery.caption)}"]
        parts += [" (fixed seeds, uncurated)</p>"]
        parts += [_embed(figures.sheet(table, i)) if figures.is_image(gallery.file) else "<p>Missing or broken.</p>"]
    parts += ["<h2>How each number was made</h2>", html.protocols(table), html.runs(table), html.origin(table)]
    parts += ["<h2>What was not measured, and why</h2>", html.missing(table)]
    return html.page(table.title, "".join(parts), table.watermark)


def _embed(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(image).decode()}">'


def _write(path: Path, text: str) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
