"""Folders of packed arrays: each appears complete or not at all, even if processes are killed or work at once."""

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.storage.compressed import CompressedRows
from datamodules.storage.locking import locked
from lightning_mmdiff.errors import MissingFileError
from lightning_mmdiff.runtime.files import read_text


def pack_once(folder: Path, fingerprint: dict[str, Any], write: Callable[[Path], None]) -> bool:
    """Let ``write`` fill a folder unless there is one with this fingerprint; return whether anything was packed.

    Any number of processes may call this at once: one works, the others wait for it (on a file system without locks all
    of them work, and the first to finish wins).

    Args:
        folder: folder of the packed data.
        fingerprint: fingerprint of the content, which ``write`` stores as "fingerprint" in the index.
        write: fills an empty folder: arrays ``<name>.npy``, compressed ones ``<name>.zlib`` and, last, ``index.json`` with
            the names of the former as "arrays" and names and shapes of the latter as "compressed".

    Raises:
        OSError: if the folder cannot be written or the disk is too full.
    """
    if read_fingerprint(folder) == fingerprint:
        return False
    _make_parent(folder)
    with locked(_lock_path(folder)) as alone:
        if read_fingerprint(folder) == fingerprint:
            return False  # another process packed it while this one waited
        with _temporary_folder(folder, alone) as temporary:
            write(temporary)
            install(temporary, folder)
    return True


def read_packed(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the index and the memory-mapped arrays of a packed folder, plain or compressed."""
    if not (folder / "index.json").is_file():
        raise MissingFileError(
            f"{folder}: nothing packed here; call prepare_data() (or run datamodules.prepare) first."
        )
    with locked(_lock_path(folder), shared=True):
        index = json.loads(read_text(folder / "index.json"))
        arrays: dict[str, Any] = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in index["arrays"]}
        for name, shape in index.get("compressed", {}).items():
            arrays[name] = CompressedRows(folder / f"{name}.zlib", tuple(shape))
    return index, arrays


def read_fingerprint(folder: Path) -> dict[str, Any] | None:
    """Return the fingerprint stored in a folder, or None if there is none."""
    try:
        return json.loads(read_text(folder / "index.json"))["fingerprint"]
    except FileNotFoundError:
        return None


def install(temporary: Path, folder: Path) -> None:
    """Move a finished folder into place and remove an older one; its readers keep what they have mapped."""
    discarded = temporary.with_name(f"{temporary.name}.old")
    try:
        if folder.exists():
            folder.rename(discarded)
        temporary.rename(folder)
    except OSError as error:  # another process without a lock was first: keep its result
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
    shutil.rmtree(discarded, ignore_errors=True)


def new_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Create a uint8 .npy file with reserved disk space, so that a full disk is an error now, not a crash later."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            need = path.stat().st_size / 2**30
            raise OSError(errno.ENOSPC, f"{path.parent}: disk full, {path.name} needs {need:.2f} GiB.") from error
    return array


def link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it if that is impossible."""
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _make_parent(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        probe = folder.with_name(f".{folder.name}.{os.getpid()}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        raise PermissionError(
            f"{folder.parent}: cannot write the packed data here; give a writable cache folder."
        ) from error


@contextmanager
def _temporary_folder(folder: Path, alone: bool) -> Iterator[Path]:
    """Yield a new folder beside ``folder`` and remove it afterwards; first remove leftovers of killed processes here."""
    mine = f".{folder.name}.{socket.gethostname()}."
    if alone:
        for stale in folder.parent.glob(f"{mine}*"):
            shutil.rmtree(stale, ignore_errors=True)
    temporary = folder.with_name(f"{mine}{os.getpid()}.{time.monotonic_ns()}")
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
