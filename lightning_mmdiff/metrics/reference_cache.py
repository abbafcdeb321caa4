"""Arrays that depend on a data set alone, kept on disk for every run that is measured on it."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.stored import stored_arrays

Arrays = dict[str, NDArray]


def cached_reference(path: Path, fingerprint: str, compute: Callable[[], Arrays]) -> Arrays:
    """Return the arrays stored at ``path``, or compute and store them.

    Args:
        path: an .npz file.
        fingerprint: description of the source of the arrays (data set, split, size, network, number of images). Arrays
            stored under another fingerprint, or in a damaged file, are computed again with a warning.
        compute: function that returns the arrays; the name "fingerprint" is reserved.
    """
    arrays = _stored_reference(path, fingerprint)
    if arrays is not None:
        return arrays
    locks = WorkLocks(path.parent / ".locks")
    with locks.acquire(path.stem):  # of several processes that need the arrays, one computes them
        arrays = _stored_reference(path, fingerprint)
        if arrays is None:
            arrays = compute()
            with atomic_path(path) as temporary:
                np.savez(temporary, fingerprint=np.array(fingerprint), **arrays)  # type: ignore[arg-type]
    locks.clear()
    return arrays


def _stored_reference(path: Path, fingerprint: str) -> Arrays | None:
    """Return the arrays at ``path`` if they are whole and have this fingerprint; else None, with a warning if they exist."""
    arrays = stored_arrays(path)
    if arrays is None:
        return None
    found = str(arrays.pop("fingerprint", ""))
    if found == fingerprint:
        return arrays
    warnings.warn(f"{path} was made from {found!r}, not {fingerprint!r}; computing it again.", stacklevel=3)
    return None
