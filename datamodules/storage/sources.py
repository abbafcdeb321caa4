"""The files that packed data was made from: sizes, times and digests, so that another content under the same names counts."""

import hashlib
import os
import time
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.storage.progress import in_threads
from datamodules.storage.reading import some, unreadable
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import atomic_path

SOURCES = "sources.npz"
SETTLED = 2 * 10**9
"""ns; a file that changed this shortly before it is read may change again within a tick of its file system's clock."""
DIGEST = 16  # bytes


class Source(ABC):
    """A data set on disk, whose files are grouped in parts, so that it is known which part has changed."""

    root: Path

    @abstractmethod
    def file_parts(self) -> Mapping[str, Iterable[Path]]:
        """Return every file that is read, by the name of its part."""

    def derived(self) -> Mapping[str, str]:
        """Return digests of what else is packed, such as the class of every image."""
        return {}

    @abstractmethod
    def by_name(self, found: "Mapping[str, Sources]") -> Mapping[str, str]:
        """Return the digests of names and sizes that earlier versions recorded, which did not look at contents."""


@dataclass(frozen=True)
class Sources:
    """F files of one part."""

    names: list[str]  # relative to the root
    stamps: np.ndarray  # int64 [F, 3]: bytes, times of the last change of content and of the file's entry in ns
    digests: np.ndarray  # uint8 [F, 16], zero where not known

    def fingerprint(self) -> str:
        """Return a digest of names and contents, whatever the times."""
        digest = hashlib.sha256("\0".join(self.names).encode())
        digest.update(self.digests.tobytes())
        return digest.hexdigest()[:16]

    def known_from(self, old: "Sources | None") -> "tuple[Sources, np.ndarray]":
        """Return these files with the digests of those that have not changed since ``old``, and the indices of the others."""
        if old is None:
            return self, np.arange(len(self.names))
        if old.names == self.names:
            place, there = np.arange(len(self.names)), np.ones(len(self.names), bool)
        else:
            place_of = {name: i for i, name in enumerate(old.names)}
            place = np.array([place_of.get(name, -1) for name in self.names], np.int64)
            there = place >= 0
        same = there.copy()
        same[there] = (self.stamps[there] == old.stamps[place[there]]).all(axis=1)
        digests = self.digests.copy()
        digests[same] = old.digests[place[same]]
        return Sources(self.names, self.stamps, digests), np.flatnonzero(~same)


def look(source: Source) -> dict[str, Sources]:
    """Return the files of every part with their sizes and times, unread."""
    return {part: _stamped(source.root, paths) for part, paths in source.file_parts().items()}


def read(found: Mapping[str, Sources], old: Mapping[str, Sources], source: Source) -> dict[str, Sources]:
    """Return ``found`` with all digests; only files whose size or times differ from those in ``old`` are read.

    Args:
        found: files of every part, from ``look``.
        old: files of every part as they were read before.
        source: data set.
    """
    return {part: _digested(files, old.get(part), source.root) for part, files in found.items()}


def unchanged(found: Mapping[str, Sources], old: Mapping[str, Sources]) -> bool:
    """Return whether every file has the size and times that it had in ``old``."""
    return all(not len(files.known_from(old.get(part))[1]) for part, files in found.items())


def write_sources(folder: Path, parts: Mapping[str, Sources]) -> None:
    """Write the files of every part into a packed folder; replaces an older list as a whole."""
    arrays = {}
    for part, files in parts.items():
        arrays[f"{part}_names"] = np.frombuffer("\0".join(files.names).encode(), np.uint8)
        arrays |= {f"{part}_stamps": files.stamps, f"{part}_digests": files.digests}
    with atomic_path(folder / SOURCES) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def read_sources(folder: Path) -> dict[str, Sources]:
    """Return the files of every part that a packed folder was made from; {} if there is no list, or a damaged one."""
    try:
        with np.load(folder / SOURCES, allow_pickle=False) as arrays:
            parts = [name.removesuffix("_names") for name in arrays if name.endswith("_names")]
            return {part: _unpacked(arrays, part) for part in parts}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _unpacked(arrays: Mapping[str, np.ndarray], part: str) -> Sources:
    text = arrays[f"{part}_names"].tobytes().decode()
    return Sources(text.split("\0") if text else [], arrays[f"{part}_stamps"], arrays[f"{part}_digests"])


def _stamped(root: Path, paths: Iterable[Path]) -> Sources:
    prefix = len(os.path.join(root, ""))
    places = [str(path) for path in paths]
    if odd := [place for place in places if not _is_text(place)]:
        names = some(map(ascii, odd), 2)
        raise UserError(
            f"{root}: holds files whose names are not UTF-8, {names}; rename them, and where they are listed."
        )
    stamps = np.zeros((len(places), 3), np.int64)
    for row, place in enumerate(places):
        try:
            status = os.stat(place)
        except OSError as error:
            raise UserError(f"{place}: {unreadable(error)}") from error
        stamps[row] = status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return Sources([place[prefix:] for place in places], stamps, np.zeros((len(places), DIGEST), np.uint8))


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:  # bytes of another encoding
        return False


def _digested(files: Sources, old: Sources | None, root: Path) -> Sources:
    now = time.time_ns()
    known, rest = files.known_from(old)
    stamps = known.stamps.copy()
    stamps[(abs(stamps[:, 1:] - now) < SETTLED).any(axis=1)] = 0  # too new to be trusted the next time

    def digest(row: int) -> str | None:
        path = root / files.names[rest[row]]
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").digest()[:DIGEST]
        except OSError as error:
            return f"{path}: {unreadable(error)}"
        known.digests[rest[row]] = np.frombuffer(found, np.uint8)
        return None

    if len(rest):
        in_threads(digest, len(rest), f"reading {root.name}")
    return Sources(known.names, stamps, known.digests)
