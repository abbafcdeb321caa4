"""Annotation files of faces other than captions: CelebA's attributes and partition, FFHQ's official split."""

from pathlib import Path

import numpy as np

from datamodules.faces.classes import ATTRIBUTES
from datamodules.storage import text
from lightning_mmdiff.errors import UserError

FIRST_VAL, FIRST_TEST = 162_771, 182_638  # CelebA's partition by original number
CATEGORIES = {"training": "train", "train": "train", "validation": "test", "val": "test", "test": "test"}


def attributes(path: Path) -> dict[int, np.ndarray]:
    """Read CelebA's attribute file: a count, a line of 40 names, rows ``0.jpg  -1 1 ...``; return number -> int8 [40].

    Raises:
        UserError: naming the file and the row, if it is damaged.
    """
    rows = text.rows(path)
    announced = int(rows.pop(0)[1]) if rows and text.is_number(rows[0][1]) else None
    if not rows or tuple(rows[0][1].split()) != ATTRIBUTES:
        raise UserError(f"{path}: its first or second line must be CelebA's 40 attribute names in their order.")
    values = {}
    for number, row in rows[1:]:
        name, *given = row.split()
        if len(given) != len(ATTRIBUTES) or not set(given) <= {"-1", "0", "1"}:
            raise text.wrong_row(path, number, row, "the name of an image and 40 values of -1 or 1")
        values[number] = (name, (np.array(given, np.int8) > 0).astype(np.int8))
    if announced not in (None, len(values)):
        raise UserError(f"{path}: has {len(values)} rows, announced {announced}, so it was cut; fetch it again.")
    return text.by_number(path, values.values())


def partition(path: Path) -> dict[int, str]:
    """Read the mapping to CelebA, rows of number, original number and original file; return number -> train, val or test.

    Raises:
        UserError: naming the file and the row, if it is damaged.
    """
    found = []
    for number, row in text.rows(path):
        words = row.replace(",", " ").split()
        if number == 1 and not text.is_number(words[0]):
            continue  # a heading
        if len(words) != 3 or not (text.is_number(words[0]) and text.is_number(words[1])):
            raise text.wrong_row(path, number, row, "a number, CelebA's number and its file")
        found.append((words[0], _part(int(words[1]))))
    return text.by_number(path, found)


def ffhq_split(path: Path) -> dict[int, str]:
    """Read FFHQ's JSON file; return number -> train (the first 60,000 images) or test.

    Raises:
        UserError: naming the file and the entry, if it is damaged.
    """
    expected = 'an object such as {"0": {"category": "training"}, ...}'
    parts = []
    for name, entry in text.entries(path, expected).items():
        category = entry.get("category") if isinstance(entry, dict) else None
        if category not in CATEGORIES:
            raise UserError(f"{path}: the category of {name!r} is {category!r}; expected training or validation.")
        parts.append((name, CATEGORIES[category]))
    return text.by_number(path, parts)


def _part(original: int) -> str:
    if original < FIRST_VAL:
        return "train"
    return "val" if original < FIRST_TEST else "test"
