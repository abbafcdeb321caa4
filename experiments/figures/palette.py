"""One palette for everything that shows classes of a face: conditions and parsed maps, with its legend."""

from collections.abc import Iterable

import numpy as np

from datamodules.faces.classes import FACE_CLASSES, LABEL_CONDITIONS, PALETTE

NAMES = {
    "eye_g": "glasses", "l_eye": "eyes", "r_eye": "eyes", "l_brow": "brows", "r_brow": "brows", "l_ear": "ears",
    "r_ear": "ears", "u_lip": "mouth", "l_lip": "mouth", "ear_r": "earring", "neck_l": "necklace",
}  # fmt: skip
"""Class -> name of the part that it belongs to; the other classes are parts of their own."""


def _parts() -> dict[str, tuple[int, int, int]]:
    """Return part -> color: that of its first class in the palette of the data."""
    found: dict[str, tuple[int, int, int]] = {}
    for name, color in zip(FACE_CLASSES, PALETTE.tolist(), strict=True):
        found.setdefault(NAMES.get(name, name), tuple(color))
    return found


CLASS_CONDITIONS = (*LABEL_CONDITIONS, "mask_picture")
"""Conditions whose colors are those of classes."""
PARTS = _parts()
COLORS = np.array([PARTS[NAMES.get(name, name)] for name in FACE_CLASSES], np.uint8)
"""Color of each class, uint8 [19, 3]: left and right have one, lips that of the mouth."""


def label_maps(labels: np.ndarray) -> np.ndarray:
    """Return class ids [N, H, W] as pictures, uint8 [N, H, W, 3]."""
    return COLORS[labels]


def condition(name: str, maps: np.ndarray) -> np.ndarray:
    """Return a condition as pictures: in the colors of the classes if it has some, gray for one channel, RGB as it is.

    Args:
        name: name of the condition.
        maps: uint8 [N, C, H, W]; a channel for each group of classes holds 0 or 255.

    Returns:
        uint8 [N, H, W, 3].
    """
    if name in LABEL_CONDITIONS:
        first = [COLORS[FACE_CLASSES.index(group[0])] for group in LABEL_CONDITIONS[name]]
        mixed = np.einsum("nchw,cd->nhwd", maps / 255, np.array(first, float))
        return mixed.round().clip(0, 255).astype(np.uint8)
    if name == "mask_picture":
        return label_maps(_classes(maps))
    if maps.shape[1] == 1:
        return np.repeat(maps.transpose(0, 2, 3, 1), 3, axis=3)
    return maps.transpose(0, 2, 3, 1)


def _classes(pictures: np.ndarray) -> np.ndarray:
    """Return the class whose color of the data's palette is nearest to each pixel of uint8 [N, 3, H, W]."""
    distances = ((pictures[:, None].astype(int) - PALETTE[None, :, :, None, None].astype(int)) ** 2).sum(axis=2)
    return distances.argmin(axis=1)


def legend(pictures: Iterable[np.ndarray]) -> list[tuple[str, str]]:
    """Return name and ``#rrggbb`` of every part whose color occurs in maps, uint8 [N, H, W, 3]."""
    there: set[tuple[int, ...]] = set()
    for picture in pictures:
        there |= set(map(tuple, np.unique(picture.reshape(-1, 3), axis=0).tolist()))
    return [(name, "#{:02x}{:02x}{:02x}".format(*color)) for name, color in PARTS.items() if color in there]
