"""The 19 classes of CelebAMask-HQ in their official order, and the conditions made from them."""

import colorsys

import numpy as np

FACE_CLASSES = (
    *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear"),
    *("mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)  # l_ and r_ are the subject's left and right: l_eye lies in the right half of the image

NUM_CLASSES = len(FACE_CLASSES)

LABEL_CONDITIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "mask": tuple((name,) for name in FACE_CLASSES),
    "hair": (("hair",),),
    "skin": (("skin",),),
    "face_parts": (
        ("skin",),
        ("nose",),
        ("l_eye", "r_eye"),
        ("l_brow", "r_brow"),
        ("mouth", "u_lip", "l_lip"),
        ("eye_g",),
        ("l_ear", "r_ear"),
    ),
}  # name -> one group of classes per channel

CONDITIONS = (*LABEL_CONDITIONS, "mask_picture", "sketch", "attributes", "caption")

ATTRIBUTES = tuple(
    """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
    Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
    Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
    Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
    Wearing_Necktie Young""".split()  # noqa: SIM905
)  # the 40 attributes of CelebA, in the order of its file


def _palette() -> np.ndarray:
    """Return uint8 [19, 3]: black background, then evenly spread hues."""
    hues = [colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.65, 0.95) for i in range(1, NUM_CLASSES)]
    return np.array([(0, 0, 0), *(tuple(int(255 * c) for c in hue) for hue in hues)], np.uint8)


PALETTE = _palette()
"""Color of each class."""


def _membership(groups: tuple[tuple[str, ...], ...]) -> np.ndarray:
    """Return uint8 [C, 19]: 255 if a class belongs to the group of that channel."""
    return np.array([[255 * (name in group) for name in FACE_CLASSES] for group in groups], np.uint8)


_MEMBERSHIP = {name: _membership(groups) for name, groups in LABEL_CONDITIONS.items()}


def _flipped_classes() -> np.ndarray:
    """Return uint8 [19]: the class that each class becomes when the image is mirrored."""
    swap = {"l": "r", "r": "l"}
    mirrored = [f"{swap[name[0]]}{name[1:]}" if name[2:] in ("eye", "brow", "ear") else name for name in FACE_CLASSES]
    return np.array([FACE_CLASSES.index(name) for name in mirrored], np.uint8)


FLIPPED_CLASSES = _flipped_classes()


def label_condition(name: str, label_map: np.ndarray) -> np.ndarray:
    """Return the channels of a condition made from classes.

    Args:
        name: a key of ``LABEL_CONDITIONS``.
        label_map: class ids, uint8 [B, S, S].

    Returns:
        uint8 [B, C, S, S], 0 or 255.
    """
    return np.stack([table[label_map] for table in _MEMBERSHIP[name]], axis=1)


def flip_label_map(label_map: np.ndarray) -> np.ndarray:
    """Mirror class ids [..., S, S] left-right; left and right eyes, brows and ears swap names."""
    return FLIPPED_CLASSES[label_map[..., ::-1]]
