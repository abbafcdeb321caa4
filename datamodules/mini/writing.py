"""Folders of rendered images, written once, by one process, and completely or not at all."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datamodules.storage.locking import locked
from datamodules.storage.progress import Update, progress_bar
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import read_text

MARKER = "mini.json"
CHUNK_PIXELS = 2**17  # of one rendered chunk; about as many as fit in the processor's cache


def write_once(root: Path, what: dict[str, Any], noun: str, total: int, write: Callable[[Path, Update], None]) -> None:
    """Let ``write`` fill a temporary folder and rename it to ``root``, unless ``root`` already exists.

    Args:
        root: folder to create.
        what: settings that determine the content.
        noun: name of what is rendered, for messages.
        total: number of images.
        write: fills the folder that it is given and reports its progress.

    Raises:
        UserError: if ``root`` holds something else.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    with locked(root.with_name(f".{root.name}.lock")):
        if root.exists():
            _require_same(root, what, noun)
            return
        temporary = root.with_name(f".{root.name}.{os.getpid()}")
        try:
            temporary.mkdir()
            with progress_bar(f"rendering {root.name}", total) as advance:
                write(temporary, advance)
            (temporary / MARKER).write_text(json.dumps(what) + "\n", encoding="utf-8")
            temporary.rename(root)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def chunks(count: int, size: int) -> Iterator[np.ndarray]:
    """Yield the numbers 0 to ``count`` in chunks that are fast to render at ``size`` pixels."""
    length = max(1, CHUNK_PIXELS // size**2)
    for first in range(0, count, length):
        yield np.arange(first, min(first + length, count))


def write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 [H, W] or BGR [H, W, 3], lightly compressed."""
    written, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert written
    path.write_bytes(data.tobytes())


def hwc(picture: np.ndarray) -> np.ndarray:
    """Return [3, H, W] as [H, W, 3]."""
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def _require_same(root: Path, what: dict[str, Any], noun: str) -> None:
    marker = root / MARKER
    found = json.loads(read_text(marker)) if marker.is_file() else None
    if found != what:
        there = f"no {noun}" if found is None else f"{noun} with {found}"
        raise UserError(f"{root}: holds {there}, expected {what}; give another folder, or delete this one.")
