"""Reading of images, and the checks and messages that all layouts share."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from lightning_mmdiff.errors import MissingFileError, UserError

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow raises on a damaged file


def require_root(root: Path, layout: str) -> None:
    """Raise FileNotFoundError with the expected layout if ``root`` is not a folder."""
    if not root.is_dir():
        raise MissingFileError(f"{root}: no such folder. Expected this layout there:\n{layout}")


def require_images(root: Path, numbers: list[int], layout: str, known_gaps: frozenset[int] = frozenset()) -> int:
    """Check that the numbering of the images has no gaps; return how many numbers it has from first to last.

    Args:
        root: folder, for the error message.
        numbers: image numbers, ascending.
        layout: expected layout, for the error message.
        known_gaps: numbers that may be missing.

    Raises:
        MissingFileError: if there are no images, or if some are missing between the first and the last.
    """
    if not numbers:
        raise MissingFileError(f"{root}: no images found. Expected this layout there:\n{layout}")
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers) - known_gaps)
    total = numbers[-1] - numbers[0] + 1
    if missing:
        raise MissingFileError(
            f"{root}: found {len(numbers)} images where the numbers {numbers[0]} to {numbers[-1]} make {total}; "
            f"missing {some(missing)}. The download is incomplete: fetch these (any gapless part of the set will do)."
        )
    return total


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
