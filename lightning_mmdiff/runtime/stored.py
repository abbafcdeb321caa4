"""Readers of results on disk. A damaged file is named; where its content can be made again, it counts as missing."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import read_text

T = TypeVar("T")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if it holds anything else; names the file.
    """
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = error if text.strip() else "it is empty"
        raise UserError(f"{path} is damaged ({what}).") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged (it holds a {type(value).__name__}, not an object).")
    return value


def stored_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file that can be made again; {} if it is missing or, with a warning, damaged."""
    try:
        return read_json(path)
    except FileNotFoundError:
        return {}
    except UserError as error:
        warnings.warn(f"{str(error).rstrip('.')}; it counts as missing.", stacklevel=2)
        return {}


def stored_array(path: Path) -> NDArray[Any] | None:
    """Return the array of an ``.npy`` file, mapped from disk; None if it is missing or, with a warning, not whole."""

    def load() -> NDArray[Any]:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("it holds an archive, not one array")
        return found

    return _whole(path, load)


def stored_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays of an ``.npz`` file by name; None if it is missing or, with a warning, not whole."""

    def load() -> dict[str, NDArray[Any]]:
        with np.load(path, allow_pickle=False) as found:  # a lone array has no files: TypeError
            return {name: found[name] for name in found.files}

    return _whole(path, load)


def _whole(path: Path, load: Callable[[], T]) -> T | None:
    """Return what ``load`` reads from ``path``; numpy and zipfile raise many kinds of exceptions for a damaged file."""
    try:
        return load()
    except FileNotFoundError:
        return None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not the content's
            raise
        warnings.warn(f"{path} is damaged ({error}); it counts as missing.", stacklevel=3)
        return None
