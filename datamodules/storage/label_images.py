"""Reading of part masks and label maps, whose pixels must be exact: what a lossy format or an editor made of them is refused."""

from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.storage.reading import read_image, some
from lightning_mmdiff.errors import UserError

DARK, BRIGHT = 64, 192
"""Gray values below the first are black that JPEG has changed, those from the second on white; between, nobody can tell."""
SPECKLES = 1.5
"""Most pixels that may differ from all four neighbors, as a share of the image times its shorter side in pixels.

Drawn label maps were found to have up to .05 (CelebAMask-HQ at 512 pixels), .01 (Cityscapes), 1.0 (rendered ones at 16 pixels);
after JPEG at quality 50 to 98 at least 8, 4 and mostly 2 to 7.
"""


def read_mask(path: Path) -> np.ndarray:
    """Read the mask of one part, bool [H, W].

    Of two values, the higher one is the part, be it 1 or 255, as in the official script. More values that are all close to
    black or white are what JPEG makes of two.

    Raises:
        UserError: if it is not certain which pixels belong to the part.
    """
    image = read_image(path)
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise UserError(
            f"{path}: is partly transparent, expected black and white; if the part is in the alpha channel, save that as gray."
        )
    gray = image.convert("L")
    values = np.flatnonzero(gray.histogram())
    between = values[(values >= DARK) & (values < BRIGHT)]
    if len(values) > 2 and len(between):
        raise UserError(
            f"{path}: holds gray values such as {some(between)}, expected black and white, so where the part ends is not "
            "certain; was it resized, or saved as JPEG? Save it again with two values."
        )
    mask = np.asarray(gray) >= (128 if len(values) > 2 else max(values[-1], 1))
    if mask.all():
        raise UserError(f"{path}: covers the whole image, expected one part of a face; was it in a lost alpha channel?")
    return mask


def read_ids(path: Path, what: str) -> np.ndarray:
    """Read class ids, uint8 [H, W], from an image of mode L or P whose pixel values are the ids.

    Args:
        path: path of the image.
        what: expectation, for the message: "an index image (mode L or P) of class ids".

    Raises:
        UserError: if the image has another mode, or if its pixels are not as they were drawn.
    """
    image = read_image(path)
    if image.mode not in ("L", "P"):
        raise UserError(f"{path}: has mode {image.mode}, expected {what}.")
    ids = np.asarray(image)
    share = 1 - _beside_an_equal(ids).mean()
    if share * min(ids.shape) > SPECKLES:
        raise UserError(
            f"{path}: {share:.1%} of its pixels differ from all their neighbors, so these are not ids as they were drawn; was "
            "it saved as JPEG, or resized? Write it again from the original, as PNG."
        )
    return ids


def ids_in(ids: np.ndarray) -> list[int]:
    """Return the distinct values of uint8 [H, W], ascending."""
    return np.flatnonzero(Image.fromarray(ids).histogram()).tolist()


def _beside_an_equal(ids: np.ndarray) -> np.ndarray:
    """Return bool [H, W]: whether the pixel above, below, left or right is equal."""
    beside = np.zeros(ids.shape, bool)
    down, right = ids[1:] == ids[:-1], ids[:, 1:] == ids[:, :-1]
    beside[1:] |= down
    beside[:-1] |= down
    beside[:, 1:] |= right
    beside[:, :-1] |= right
    return beside
