"""A face data set decoded once into memory-mapped arrays, ``<root>/.packed/<size>px`` by default.

How a face is read and reduced stands in ``decoding.py``.
"""

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.decoding import FaceDecoder, in_threads
from datamodules.face_files import FaceFiles
from datamodules.locking import locked
from lightning_mmdiff.files import write_json

VERSION = 1  # of the packed format; another one is packed anew


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The opened arrays; N images of S x S pixels."""

    folder: Path
    names: list[str]  # N file names
    numbers: list[int]  # N image numbers, ascending
    total: int  # images a gapless numbering would have
    official_split: list[str] | None  # "train", "val" or "test" for each image
    images: np.ndarray  # uint8 [N, 3, S, S] RGB
    sketches: np.ndarray  # uint8 [N, 1, S, S], 255 on edges
    label_maps: np.ndarray | None  # uint8 [N, S, S], class ids
    attributes: np.ndarray | None  # int8 [N, 40], 0 or 1
    captions: tuple[str, ...]  # kinds on disk, see ``read_captions``

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the folder: a worker process maps the files again instead of receiving a copy."""
        return open_packed, (self.folder,)

    def read_captions(self, kind: str) -> dict[str, list[str]]:
        """Return image name -> captions of one kind, in the order of its file."""
        return json.loads((self.folder / "captions.json").read_text())[kind]


def open_packed(folder: Path) -> Packed:
    """Map the arrays that ``pack`` has written."""
    if not (folder / "index.json").is_file():
        raise FileNotFoundError(
            f"{folder}: nothing packed here; call prepare_data() (or run datamodules.prepare) first."
        )
    with locked(_lock_path(folder), shared=True):
        index = json.loads((folder / "index.json").read_text())
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in index["arrays"]}
    fields = ("names", "numbers", "total", "official_split")
    return Packed(
        folder=folder,
        captions=tuple(index["captions"]),
        **{field: index[field] for field in fields},
        **{name: arrays.get(name) for name in ("images", "sketches", "label_maps", "attributes")},  # type: ignore[arg-type]
    )


def pack(files: FaceFiles, *, image_size: int, folder: Path) -> bool:
    """Pack ``files`` into ``folder`` unless it holds them already; return whether there was work to do.

    The folder appears complete or not at all. Any number of processes may call this at once: one works, the others wait
    for it (where the file system has no locks all of them work, and the first to finish wins).

    Raises:
        ValueError: naming every damaged, misshapen or mislabelled file (up to 20).
        OSError: where the folder cannot be written or the disk is too full.
    """
    fingerprint = {"version": VERSION, "pixels": files.pixel_fingerprint(), "text": files.text_fingerprint()}
    if _read_fingerprint(folder) == fingerprint:
        return False
    _make_parent(folder)
    with locked(_lock_path(folder)) as alone:
        if _read_fingerprint(folder) == fingerprint:
            return False  # another process packed it while this one waited
        with _temporary_folder(folder, alone) as temporary:
            arrays = _write_pixels(files, image_size, temporary, reuse=_same_pixels(folder, fingerprint))
            _write_rest(files, temporary, arrays, fingerprint)
            install(temporary, folder)
    return True


def install(temporary: Path, folder: Path) -> None:
    """Move a finished folder into place; an older one there is removed, after which readers keep what they mapped."""
    discarded = temporary.with_name(f"{temporary.name}.old")
    try:
        if folder.exists():
            folder.rename(discarded)
        temporary.rename(folder)
    except OSError as error:  # another process without a lock was first: keep its result
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
    shutil.rmtree(discarded, ignore_errors=True)


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _read_fingerprint(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "index.json").read_text())["fingerprint"]
    except FileNotFoundError:
        return None


def _same_pixels(folder: Path, fingerprint: dict[str, Any]) -> Path | None:
    """Return ``folder`` where its arrays are still right and only captions, attributes or splits have changed."""
    old = _read_fingerprint(folder) or {}
    return folder if all(old.get(key) == fingerprint[key] for key in ("version", "pixels")) else None


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
    """Yield a new folder beside ``folder``; afterwards it is gone, as are those of killed processes here."""
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


def _new_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Create a uint8 .npy file with its disk space reserved: a full disk is an error now, not a crash later."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            need = path.stat().st_size / 2**30
            raise OSError(errno.ENOSPC, f"{path.parent}: disk full, {path.name} needs {need:.2f} GiB.") from error
    return array


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _write_pixels(files: FaceFiles, size: int, folder: Path, *, reuse: Path | None) -> list[str]:
    count = len(files.numbers)
    shapes: dict[str, tuple[int, ...]] = {"images": (count, 3, size, size), "sketches": (count, 1, size, size)}
    if files.has_label_maps:
        shapes["label_maps"] = (count, size, size)
    if reuse:
        for name in shapes:
            _link(reuse / f"{name}.npy", folder / f"{name}.npy")
        return list(shapes)
    arrays = {name: _new_array(folder / f"{name}.npy", shape) for name, shape in shapes.items()}
    decode = FaceDecoder(files, size)

    def fill(row: int) -> str | None:
        try:
            for name, value in decode(files.numbers[row]).items():
                arrays[name][row] = value
        except ValueError as error:
            return str(error)
        return None

    in_threads(fill, count, f"packing {files.root.name} at {size} px")
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]
    return list(shapes)


def _write_rest(files: FaceFiles, folder: Path, arrays: list[str], fingerprint: dict[str, Any]) -> None:
    """Write attributes, captions and, last, the index."""
    attributes = files.attributes()
    if attributes is not None:
        np.save(folder / "attributes.npy", attributes)
        arrays = [*arrays, "attributes"]
    captions = files.captions()
    write_json(folder / "captions.json", captions)
    names = [files.name(number) for number in files.numbers]
    index = {"fingerprint": fingerprint, "count": len(names), "total": files.total, "arrays": arrays}
    index |= {
        "captions": list(captions),
        "names": names,
        "numbers": files.numbers,
        "official_split": files.official_split(),
    }
    write_json(folder / "index.json", index)
