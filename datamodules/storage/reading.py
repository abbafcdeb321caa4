"""Reading of images, and the checks and messages that all layouts share."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageFile

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
        UserError: with the path, if the file is absent, damaged, not an image, too large, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as image:
            bits = _bits(image)
            image.load()
            found = image.convert(mode) if mode and image.mode != mode else image.copy()
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(
            f"{path}: has more than the {most:,} pixels that Pillow reads; reduce it, or leave it out."
        ) from error
    except _BROKEN as error:
        if "MAX_TEXT" in str(error):  # the pixels were not looked at
            raise UserError(f"{path}: its metadata are too large ({error}); save the image without them.") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{path}: {unreadable(error)}") from error
        raise UserError(f"{path}: cannot be read as an image ({error}); fetch this file again.") from error
    if bits > 8:
        raise UserError(
            f"{path}: has {bits} bits a channel, expected 8; convert it, so that its darkest and brightest fit."
        )
    return found


def unreadable(error: OSError) -> str:
    """Return the end of a message about a file that the system cannot open or read, with what to do."""
    remedy = "make it readable for you" if isinstance(error, PermissionError) else "fetch this file again"
    return f"cannot be read ({error.strerror}); {remedy}."


def _bits(image: ImageFile.ImageFile) -> int:
    """Return the bits of a channel in the file, before Pillow converts them."""
    if image.mode in ("I", "F"):
        return 32
    return 16 if any("16" in str(tile[3]) for tile in image.tile) else 8


def require_square(path: Path, width: int, height: int) -> None:
    """Raise ValueError if an image is not square: resizing it would silently stretch faces."""
    if width != height:
        raise UserError(f"{path}: is {width}x{height} pixels, expected a square image; crop it first.")


def require_no_enlarging(path: Path, pixels: int, size: int) -> None:
    """Raise ValueError if an image of ``pixels`` would have to be enlarged to ``size``."""
    if pixels < size:
        raise UserError(f"{path}: {pixels} pixels wide, fewer than the {size} asked for; lower image_size.")
