"""Reading of images, and the checks and messages that all layouts share."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from lightning_mmdiff.errors import UserError

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow raises on a damaged file


def some(items: Iterable[object], limit: int = 5) -> str:
    """Return the first few of ``items`` and the number of the others, for a message."""
    words = [str(item) for item in items]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def read_image(path: Path, mode: str | None = None) -> Image.Image:
    """Read an image completely, converted to ``mode`` if given.

    Raises:
        UserError: with the path, if the file is absent, damaged or not an image.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image.convert(mode) if mode and image.mode != mode else image.copy()
    except _BROKEN as error:
        raise UserError(f"{path}: cannot be read as an image ({error}); fetch this file again.") from error


def require_square(path: Path, width: int, height: int) -> None:
    """Raise ValueError if an image is not square: resizing it would silently stretch faces."""
    if width != height:
        raise UserError(f"{path}: is {width}x{height} pixels, expected a square image; crop it first.")


def require_no_enlarging(path: Path, pixels: int, size: int) -> None:
    """Raise ValueError if an image of ``pixels`` would have to be enlarged to ``size``."""
    if pixels < size:
        raise UserError(f"{path}: {pixels} pixels wide, fewer than the {size} asked for; lower image_size.")
