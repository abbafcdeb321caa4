"""The report of a table as an executed notebook."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal
from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports.notebook_cells import cells
from reports.results import load_table
from reports.schema import TableResult
from reports.table_folder import TableFolder

TIMEOUT = 120  # seconds per cell
MAX_SOCKET_PATH = 80  # characters; Unix allows about 107 with the file name


def build(table: TableResult) -> NotebookNode:
    """Build the notebook without executing it; it reads everything from the files in its own folder."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells(table), metadata={"kernelspec": kernel, "title": table.title})


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
    galleries += [strip.file for gallery in table.galleries for strip in gallery.strips]
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
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in given if entry),
        "PYTHONSAFEPATH": "1",
        "IPYTHONDIR": str(scratch),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def make(folder: Path) -> tuple[NotebookNode, TableResult]:
    """Build and execute the notebook of ``folder/table.json``; return it with its table."""
    table = load_table(TableFolder(folder).table)
    notebook = build(table)
    notebook.metadata["inputs"] = fingerprint(table)
    execute(notebook, folder)
    return notebook, table
