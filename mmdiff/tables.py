"""The tables that ``mmdiff run`` knows: those of the index, of installed packages, and a file of your own."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from experiments import INDEX
from lightning_mmdiff.errors import MissingFileError

GROUP = "lightning_mmdiff.tables"
"""Group of the entry points by which a package names its tables: a name, and a module with ``table`` and ``main``."""


def modules(words: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the module and description of each table that these words of a command line may name.

    Raises:
        MissingFileError: if they name a file that is not there.
    """
    known = {entry.name: (f"experiments.{entry.name}", f"{entry.source}: {entry.shows}.") for entry in INDEX}
    known |= {point.name: (point.value, f"From the package of {point.value}.") for point in entry_points(group=GROUP)}
    if list(words[:1]) == ["run"] and words[1:] and words[1].endswith(".py"):
        known[words[1]] = (_importable(Path(words[1])), "A table of your own.")
    return known


def _importable(file: Path) -> str:
    """Make a file importable by its name, here and in the processes that this one starts; return that name."""
    if not file.is_file():
        raise MissingFileError(f"{file} is missing: expected a file with a table (docs/own-models.md).")
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
    return file.stem
