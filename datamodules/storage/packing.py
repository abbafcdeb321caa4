"""Folders of packed arrays: each appears complete or not at all, even if processes are killed or work at once."""

import errno
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.storage.locking import locked
from datamodules.storage.rows import CompressedRows, MappedRows, Rows, damaged, write_checksums
from datamodules.storage.sources import SOURCES, Source, Sources, look, read, read_sources, unchanged, write_sources
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.runtime.files import read_text, write_json

DIGESTS = "digests.json"


def pack_once(folder: Path, source: Source, version: int, write: Callable[[Path, dict[str, Any]], None]) -> bool:
    """Let ``write`` fill a folder unless it holds the present content of the files; return whether anything was packed.

    Any number of processes may call this at once: one works, the others wait for it (on a file system without locks all
    of them work, and the first to finish wins). A file is read again only if its size or times have changed.

    Args:
        folder: folder of the packed data.
        source: data set.
        version: version of the packed format; data of another version is packed again.
        write: fills an empty folder, given the entries of the index that say what it was made from ("fingerprint" and
            "by_name", see ``Source.by_name``): arrays ``<name>.npy``, compressed ones ``<name>.zlib`` and, last,
            ``index.json`` with the names of the former as "arrays" and names and shapes of the latter as "compressed".

    Raises:
        OSError: if the folder cannot be written or the disk is too full.
    """
    if is_current(folder, source, version):
        return False
    if read_fingerprint(folder) is None:
        _make_parent(folder)  # before hours of reading
    found = look(source)
    with locked(_lock_path(folder)) as alone:
        old = read_sources(folder)  # perhaps another process packed it while this one waited
        now = read(found, old, source)
        fingerprint = _fingerprint(version, source, now)
        if read_fingerprint(folder) == fingerprint:
            with suppress(OSError):  # where others packed it, the same files are read again the next time
                write_sources(folder, now)
            return False
        _make_parent(folder)
        with _temporary_folder(folder, alone) as temporary:
            write(temporary, {"fingerprint": fingerprint, "by_name": {"version": version, **source.by_name(found)}})
            write_sources(temporary, now)
            _seal(temporary)
            install(temporary, folder)
    return True


def is_current(folder: Path, source: Source, version: int) -> bool:
    """Return whether a folder holds the present content of the files, all of which were read then; nothing is read now."""
    found, old = look(source), read_sources(folder)
    return unchanged(found, old) and read_fingerprint(folder) == _fingerprint(version, source, read(found, old, source))


def read_packed(folder: Path) -> tuple[dict[str, Any], dict[str, Rows]]:
    """Return the index and the arrays of a packed folder."""
    with locked(_lock_path(folder), shared=True):
        index = read_index(folder)
        arrays: dict[str, Rows] = {name: MappedRows(folder / f"{name}.npy") for name in index["arrays"]}
        for name, shape in index.get("compressed", {}).items():
            arrays[name] = CompressedRows(folder / f"{name}.zlib", tuple(shape))
    return index, arrays


def read_index(folder: Path) -> dict[str, Any]:
    """Return the index of a packed folder, after comparing it and all other small files with their digests.

    Raises:
        UserError: if nothing is packed there, or if it is damaged or of an earlier version.
    """
    if not (folder / "index.json").is_file():
        raise MissingFileError(
            f"{folder}: nothing packed here; call prepare_data() (or run datamodules.prepare) first."
        )
    if not (folder / DIGESTS).is_file():
        raise UserError(
            f"{folder}: was packed by an earlier version; call prepare_data() (or run datamodules.prepare)."
        )
    try:
        digests = json.loads(read_text(folder / DIGESTS))
        wrong = [name for name, digest in digests.items() if _digest(folder / name) != digest]
    except (OSError, ValueError, AttributeError) as error:
        raise damaged(folder / DIGESTS) from error
    if wrong:
        raise damaged(folder / wrong[0])
    return json.loads(read_text(folder / "index.json"))


def read_fingerprint(folder: Path) -> dict[str, Any] | None:
    """Return the fingerprint of a packed folder, or None if nothing usable is there."""
    try:
        return read_index(folder)["fingerprint"]
    except UserError:
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
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        elif shutil.disk_usage(path.parent).free < path.stat().st_size:  # macOS cannot reserve
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
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


def _fingerprint(version: int, source: Source, parts: Mapping[str, Sources]) -> dict[str, Any]:
    return {"version": version, **{part: files.fingerprint() for part, files in parts.items()}, **source.derived()}


def _seal(folder: Path) -> None:
    """Write the checksums of all rows, and the digests of all other files."""
    rows = {f"{name}.npy" for name in json.loads(read_text(folder / "index.json"))["arrays"]}
    for name in rows:
        write_checksums(folder / name)
    small = (path for path in sorted(folder.iterdir()) if path.name not in (*rows, SOURCES) and path.suffix != ".zlib")
    write_json(folder / DIGESTS, {path.name: _digest(path) for path in small})


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
