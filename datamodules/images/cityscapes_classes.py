"""The classes of Cityscapes (Cordts et al., CVPR 2016): label ids on disk, 19 train ids, official colours."""

import numpy as np

VOID = 255  # train id of everything that is not judged

TRAIN_CLASSES: tuple[tuple[str, int, tuple[int, int, int]], ...] = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)  # name, label id, RGB; the position is the train id

NAMES = tuple(name for name, _, _ in TRAIN_CLASSES)
NUM_CLASSES = len(TRAIN_CLASSES)
PALETTE = np.array([colour for _, _, colour in TRAIN_CLASSES], np.uint8)  # [19, 3] RGB
EGO_VEHICLE = 1  # label id of the car that carries the camera; void
LABEL_IDS = frozenset((*range(34), 255))  # that occur on disk; 255 is a licence plate (id -1)


def _train_id_of() -> np.ndarray:
    table = np.full(256, VOID, np.uint8)
    table[[label_id for _, label_id, _ in TRAIN_CLASSES]] = np.arange(NUM_CLASSES)
    return table


def _colour_of() -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[:NUM_CLASSES] = PALETTE
    return table


TRAIN_ID_OF = _train_id_of()  # uint8 [256], by label id
_COLOUR_OF = _colour_of()


def label_picture(label_map: np.ndarray) -> np.ndarray:
    """Return train ids [..., H, W] in the official colours, uint8 [..., 3, H, W] RGB; void is black."""
    return np.moveaxis(_COLOUR_OF[label_map], -1, -3)
