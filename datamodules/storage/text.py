"""Text files of data sets: UTF-8 in any locale, and one sentence with path and row where they are not as expected."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from datamodules.storage.reading import some
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.runtime.files import read_text

T = TypeVar("T")
SHOWN = 40
"""Characters of a row shown in a message."""
DIGITS = 12
"""Most digits of a number; Python refuses those of thousands."""


def content(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UserError: naming the file, if it cannot be read, is not UTF-8, or is a web page in place of the file.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise MissingFileError(f"{path}: cannot be read ({error.strerror}).") from error
    if text.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):
        raise UserError(f"{path}: holds a web page instead of the file, as failed downloads do; fetch it again.")
    return text


def rows(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not blank, each with its number in the file, counted from 1."""
    return [(number, line.strip()) for number, line in enumerate(content(path).splitlines(), 1) if line.strip()]


def entries(path: Path, expected: str) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        UserError: naming the file, if it holds anything else; ``expected`` says what it should hold.
    """
    try:
        found = json.loads(content(path))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: is not whole JSON (row {error.lineno}: {error.msg}), perhaps cut; fetch it again."
        ) from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # Python reads numbers of up to 4300 digits, and lists in lists up to a depth
        raise UserError(f"{path}: cannot be read as JSON ({error}); expected {expected}.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds a JSON {type(found).__name__}, expected {expected}.")
    return found


def wrong_row(path: Path, number: int, row: str, expected: str) -> UserError:
    """Return the error of one row.

    Args:
        path: the file.
        number: number of the row, counted from 1.
        row: its content.
        expected: what it should hold.
    """
    shown = row if len(row) <= SHOWN else f"{row[:SHOWN]}..."
    return UserError(f"{path}: row {number} is {shown!r}, expected {expected}; fetch the file again.")


def is_number(word: str) -> bool:
    """Return whether ``word`` is digits alone, and few enough to be a number of a file of a data set."""
    return word.isascii() and word.isdecimal() and len(word) <= DIGITS


def image_number(name: str) -> int | None:
    """Return 17 for "17", "17.jpg", "00017.png" or "images/00017.jpg", and None for a name that is no number."""
    stem = Path(name).stem
    return int(stem) if is_number(stem) else None


def by_number(path: Path, named: Iterable[tuple[str, T]]) -> dict[int, T]:
    """Return image number -> value for the pairs (name, value) of a file, in their order.

    Raises:
        UserError: naming the file, if a name is no number, or two name the same image.
    """
    found: dict[int, T] = {}
    for name, value in named:
        number = image_number(name)
        if number is None or number in found:
            twice = "tells twice about the image" if number is not None else "tells about"
            raise UserError(f"{path}: {twice} {name!r}; expected each image once, by a name such as 17.jpg.")
        found[number] = value
    return found


def of_images(path: Path, numbers: list[int], found: Mapping[int, T]) -> list[T]:
    """Return the values of the images ``numbers``.

    Raises:
        UserError: naming the file and the first images that it lacks.
    """
    missing = [number for number in numbers if number not in found]
    if missing:
        raise UserError(
            f"{path}: tells about {len(numbers) - len(missing)} of {len(numbers)} images, not about {some(missing)}; "
            "fetch it again."
        )
    return [found[number] for number in numbers]
