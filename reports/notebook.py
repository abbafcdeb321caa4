"""The report of a table as an executed notebook, and the HTML page made from it."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports import style
from reports.basis import made_by
from reports.figures import LEGEND, is_image
from reports.format import escape_markdown
from reports.results import load_table
from reports.schema import TableResult
from reports.table_folder import TableFolder

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 120  # seconds per cell
MAX_SOCKET_PATH = 80  # characters; Unix allows about 107 with the file name

SETUP = """import sys
from importlib.util import find_spec
from pathlib import Path

# The repository's root, if this notebook lies inside it: its reports package reads the files beside this notebook.
if find_spec("reports") is None:
    sys.path += [str(p) for p in Path.cwd().resolve().parents if (p / "reports" / "results.py").is_file()]

from IPython.display import HTML, Image

from reports import costs, curves, deviations, figures, html, style
from reports.results import load_table
from reports.values import frame

table = load_table("table.json")
HTML(style.STYLE)"""

RAW = """columns = ["group", "row", "protocol", "value", "low", "high", "interval_over", "n", "reference", "seeds", "seed_values"]
frame(table).dropna(subset=["value"])[[*columns, "published", "verdict"]]"""

# Heading, introduction, code. To extend the report, add a line here.
SECTIONS = (
    ("Table", "Every row, measured or not.", "HTML(html.results(table))"),
    ("Claims", "Who beats whom.", "HTML(html.claims(table))"),
    (
        "Measured values with their intervals",
        LEGEND,
        'Image(figures.plot(table), alt="every metric of every measured row, with its interval")',
    ),
)
ORIGIN_SECTIONS = (
    ("Curves", "Over training, a line for each seed.", "HTML(curves.curves(table))"),
    (
        "What differs from the publication, and why",
        "Gathered from the columns, rows, settings, verdicts and claims of this very table.",
        "HTML(deviations.differed(table))",
    ),
    ("Cost", "Every stage of every run behind the table, counted once.", "HTML(costs.costs(table))"),
    ("How each number was made", "The protocol of each column:", "HTML(html.protocols(table))"),
    ("", "The runs behind the rows:", "HTML(html.runs(table))"),
    ("", "The machine and the code:", "HTML(html.origin(table))"),
    ("What was not measured, and why", "", "HTML(html.missing(table))"),
    ("Raw numbers", "Unrounded; all fields are in the CSV file beside this page.", RAW),
)


def build(table: TableResult) -> NotebookNode:
    """Build the notebook without executing it; it reads everything from ``table.json`` in its own folder."""
    cells = [new_markdown_cell(_introduction(table)), new_code_cell(SETUP)]
    for section in SECTIONS:
        cells += _section(*section)
    cells += _galleries(table)
    for section in ORIGIN_SECTIONS:
        cells += _section(*section)
    for i, cell in enumerate(cells):
        cell["id"] = f"cell-{i}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "title": table.title})


def _introduction(table: TableResult) -> str:
    escape = escape_markdown
    lines = [f"# {escape(table.title)}", "", f"{escape(table.paper)}. {escape(made_by(table))}.", ""]
    lines += [f"**{table.watermark}**", ""] if table.watermark else []
    lines += [f"Made by `{' '.join(table.command.split()).replace('`', '')}`.", ""]
    return "\n".join(lines + [f"- {escape(note)}" for note in table.notes])


def _section(heading: str, text: str, code: str) -> Iterator[NotebookNode]:
    markdown = "\n\n".join(([f"## {heading}"] if heading else []) + ([text] if text else []))
    yield new_markdown_cell(markdown)
    yield new_code_cell(code)


def _galleries(table: TableResult) -> Iterator[NotebookNode]:
    if table.galleries:
        yield new_markdown_cell("## Galleries\n\nFixed seeds, uncurated: the first images of the run, not the best.")
    for i, gallery in enumerate(table.galleries):
        title, caption = escape_markdown(gallery.title), escape_markdown(gallery.caption)
        text = f"### {title}\n\n{caption} (fixed seeds, uncurated)"
        if is_image(gallery.file):
            yield new_markdown_cell(text)
            yield new_code_cell(f"Image(figures.sheet(table, {i}), alt=table.galleries[{i}].title)")
        else:
            yield new_markdown_cell(f"{text}\n\n*{escape_markdown(gallery.file.name)} is missing or broken.*")


class NotebookError(UserError):
    """Error for a notebook that cannot be executed here; its report is complete without it."""


def fingerprint(table: TableResult) -> str:
    """Return a hash of everything a report is made from: table.json, the runs' results, the galleries and this package."""
    digest = hashlib.sha256()
    runs = [run for row in table.rows for run in row.runs]
    folders = [RunFolder(run.folder) for run in runs]
    run_files = [
        path for f in folders for path in (f.metrics, f.unmeasured, f.replicates, f.config, f.provenance, f.failure)
    ]
    run_files += [
        path for run in runs for place in (*run.trainings, run.folder) for path in sorted(place.glob("*.csv"))
    ]
    galleries = [gallery.file for gallery in table.galleries]
    for path in [TableFolder(table.folder).table, *run_files, *galleries, *sorted(Path(__file__).parent.glob("*.py"))]:
        content = path.read_bytes() if path.is_file() else b"absent"
        digest.update(f"{path.name} {len(content)} ".encode() + content)
    states = [(run.state, run.reason, run.stages, run.paper_config) for run in runs]
    digest.update(repr(states).encode())
    return digest.hexdigest()


def is_current(path: Path, inputs: str) -> bool:
    """Return whether the notebook at ``path`` was made from inputs with this fingerprint."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError):  # absent, or not a notebook
        return False
    return notebook.metadata.get("inputs") == inputs


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run the notebook in ``folder``, in place, with this interpreter and without the user's IPython settings.

    Raises:
        NotebookError: if the kernel or a cell fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        kernels = KernelSpecManager(kernel_dirs=[])  # leaves only the kernel of this interpreter
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=kernels)
        manager.connection_file = f"{scratch}/kernel.json"
        if len(scratch) <= MAX_SOCKET_PATH:  # otherwise TCP on the local machine
            manager.transport, manager.ip = "ipc", f"{scratch}/kernel"
        environment = {**os.environ, **_isolation(Path(scratch))}
        client = NotebookClient(notebook, km=manager, timeout=TIMEOUT, record_timing=False)
        try:
            client.execute(cwd=str(folder), env=environment, cleanup_kc=True)
        except (CellControlSignal, RuntimeError, OSError) as error:
            raise NotebookError(
                f"the notebook of {folder} did not run under {sys.executable} (--no-notebook leaves it out): {error}"
            ) from error


def _isolation(scratch: Path) -> dict[str, str]:
    """Return the environment in which a kernel runs no code from its working folder, which may be another person's."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # an empty or relative entry would mean that folder
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *(os.path.abspath(entry) for entry in given if entry)]),
        "PYTHONSAFEPATH": "1",
        "IPYTHONDIR": str(scratch),
        "MPLBACKEND": "agg",
    }


def page(notebook: NotebookNode, table: TableResult) -> str:
    """Return the HTML of an executed notebook: outputs without code, images embedded, nothing loaded from elsewhere."""
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook)
    return style.page(table.title, body, table.watermark)


def make(folder: Path) -> tuple[NotebookNode, TableResult]:
    """Build and execute the notebook of ``folder/table.json``; return it with its table."""
    table = load_table(TableFolder(folder).table)
    notebook = build(table)
    notebook.metadata["inputs"] = fingerprint(table)
    execute(notebook, folder)
    return notebook, table
