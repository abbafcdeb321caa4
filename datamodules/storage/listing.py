"""What lies in a folder: images by number, and the end of a message that says what was seen and what was expected."""

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from datamodules.storage.reading import some
from datamodules.storage.text import image_number
from lightning_mmdiff.errors import MissingFileError, UserError

SHOWN = 8
"""Names of a folder shown in a message."""
GAPS = 5
"""Missing numbers shown in a message."""
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".7z", ".rar")


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, sorted by name, without hidden files and what other systems leave behind.

    Raises:
        MissingFileError: if the folder cannot be listed, or holds a link to something that does not exist.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((e for e in found if not e.name.startswith((".", "__"))), key=lambda entry: entry.name)
    except OSError as error:
        raise MissingFileError(f"{folder}: cannot be listed ({error.strerror}).") from error
    for entry in entries:
        if entry.is_symlink() and not os.path.exists(entry.path):
            raise _dangling(entry.path)
    return entries


def _dangling(link: str) -> MissingFileError:
    return MissingFileError(
        f"{link}: is a link to {os.readlink(link)}, which is not there; restore it, or remove the link."
    )


def folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name; [] if there is no such folder."""
    return [Path(entry.path) for entry in visible(folder) if entry.is_dir()] if is_folder(folder) else []


def files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Return the files of a folder with one of these endings in any case, sorted by name; [] if there is no such folder."""
    wanted = tuple(suffix.lower() for suffix in suffixes)
    found = visible(folder) if is_folder(folder) else []
    return [Path(entry.path) for entry in found if entry.name.lower().endswith(wanted) and entry.is_file()]


def is_folder(folder: Path) -> bool:
    """Return whether there is such a folder; MissingFileError for a link to something that does not exist."""
    if os.path.islink(folder) and not os.path.exists(folder):
        raise _dangling(str(folder))
    return os.path.isdir(folder)


def numbered(paths: Iterable[Path]) -> dict[int, Path]:
    """Return number -> path of the files that are named by a number, such as 17.jpg or 00017.png.

    Raises:
        UserError: if two files have the same number.
    """
    found: dict[int, Path] = {}
    for path in paths:
        number = image_number(path.name)
        if number is None:
            continue
        if number in found:
            raise UserError(
                f"{path}: is image {number}, and so is {found[number]}; remove one of them, and all its like."
            )
        found[number] = path
    return found


def expected(root: Path, layout: str) -> str:
    """Return the end of a message: what lies in ``root``, where the files may be instead, and the layout expected there."""
    there = visible(root) if is_folder(root) else []
    seen = [entry.name + "/" * entry.is_dir() for entry in there]
    words = [f"Found there: {some(seen, SHOWN)}." if seen else "Nothing is there."]
    archives = [name for name in seen if name.endswith(ARCHIVES)]
    words += [f"Unpack {some(archives)} first."] if archives else []
    names = tuple(re.findall(r"(?:^  |or )([\w-]*\w)", layout, re.MULTILINE))
    known = any(name.startswith(names) for name in seen)
    for inner in folders(root):
        deep = [e.name for e in visible(inner) if e.name == inner.name or (e.name.startswith(names) and not known)]
        words += [f"{inner} holds {some(deep)}: move its content up."] if deep else []
    return f"{' '.join(words)} Expected this layout in {root}:\n{layout}"


def require_root(root: Path, layout: str) -> None:
    """Raise MissingFileError with the expected layout if ``root`` is not a folder."""
    if not is_folder(root):
        raise MissingFileError(f"{root}: no such folder. Expected this layout there:\n{layout}")


def require_images(
    folder: Path, numbers: list[int], *, root: Path, layout: str, known_gaps: frozenset[int] = frozenset()
) -> int:
    """Check that the numbering of the images has no gaps; return how many numbers it has from first to last.

    Args:
        folder: where the images were looked for.
        numbers: image numbers, ascending.
        root: folder of the data set.
        layout: expected layout of ``root``, for the error message.
        known_gaps: numbers that may be missing.

    Raises:
        MissingFileError: if there are no images, or if some are missing between the first and the last.
        UserError: if two have the same number.
    """
    if not numbers:
        raise MissingFileError(f"{folder}: no images found. {expected(root, layout)}")
    if twice := sorted({number for number, after in zip(numbers, numbers[1:]) if number == after}):
        raise UserError(f"{folder}: two images or more have the number {some(twice)}; remove the copies.")
    span = range(numbers[0], numbers[-1] + 1)
    total = len(span)
    between = itertools.chain.from_iterable(range(a + 1, b) for a, b in zip(numbers, numbers[1:]))
    first = list(itertools.islice((number for number in between if number not in known_gaps), GAPS))
    if first:
        absent = total - len(numbers) - len([gap for gap in known_gaps.difference(numbers) if gap in span])
        more = f" and {absent - GAPS} more" if absent > GAPS else ""
        stray = f", or move image {numbers[-1]} away if it is none of them" if total > 2 * len(numbers) + 1 else ""
        raise MissingFileError(
            f"{folder}: found {len(numbers)} images where the numbers {numbers[0]} to {numbers[-1]} make {total}; missing "
            f"{', '.join(map(str, first))}{more}. The download is incomplete: fetch these (any gapless part of the set "
            f"will do){stray}."
        )
    return total
