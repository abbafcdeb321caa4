"""The pairs of a text and an ImageNet class of ``images/scene_pairs.py``, with validation photographs of the class.

Table 3 of Unite and Conquer (CVPR 2023) at paper and released: its two models were trained by others, so nothing is read of
ImageNet but the photographs of the asked classes, which samples are compared with.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.imagenet import ImageNetFolderFiles
from datamodules.images import imagenet_labels as class_ids
from datamodules.images.folder import Listing, list_images, number_of
from datamodules.images.module import ArrayDataModule
from datamodules.images.packed import ArraySplit, PackedArrays, tensor
from datamodules.images.scene_pairs import PAIRS
from datamodules.scenes import Scenes, full_caption, object_caption
from datamodules.storage.listing import expected, require_root
from datamodules.storage.reading import some
from lightning_mmdiff.errors import MissingFileError

TEXTS = tuple(dict.fromkeys(text for text, _, _ in PAIRS))
"""Distinct texts; their numbers are the condition "scene"."""
LAYOUT = f"""\
  val/{{n01531178,...}}/*.JPEG     or val/*.JPEG and one of the next three; of other classes nothing is read
  {class_ids.LABEL_FILE}                 "ILSVRC2012_val_00000001 n01751748" a line
  {class_ids.KAGGLE_FILE}           Kaggle's
  {class_ids.DEVKIT}/data/{{ILSVRC2012_validation_ground_truth.txt,meta.mat}}"""


class PromptFiles(ImageNetFolderFiles):
    """Validation photographs of the asked classes: the first of each pair in turn, then the second, and so on; half are test."""

    def __init__(self, root: Path) -> None:  # ImageNet's own also lists the training images
        from timm.data import ImageNetInfo  # takes seconds to import

        require_root(root, LAYOUT)
        self.root, names = root, ImageNetInfo()
        self.wnids = [names.index_to_label_name(label) for label in range(1000)]
        asked = {self.wnids[label] for _, label, _ in PAIRS}
        found = self._photographs(asked)
        if missing := sorted(asked - {wnid for wnid, paths in found.items() if paths}):
            raise MissingFileError(
                f"{root / 'val'}: no photographs of {some(missing)}, of the {len(asked)} classes that are asked for. "
                + expected(root, LAYOUT)
            )
        rounds = min(map(len, found.values()))
        self.items = [
            (self.wnids[label], found[self.wnids[label]][turn]) for turn in range(rounds) for _, label, _ in PAIRS
        ]
        self.num_train, self.captions = rounds // 2 * len(PAIRS), None
        self.num_test = len(self.items) - self.num_train
        self.classes = [names.index_to_description(label, detailed=False) for label in range(1000)]

    def _photographs(self, asked: set[str]) -> Listing:
        """Return the photographs of the asked classes, by the numbers in their names."""
        folder = self.root / "val"
        if not (flat := sorted(list_images(folder), key=number_of)):
            return {wnid: sorted(list_images(folder / wnid), key=number_of) for wnid in asked}
        self.label_file = class_ids.label_file(self.root)
        found: Listing = {wnid: [] for wnid in asked}
        for path, wnid in zip(flat, class_ids.val_wnids(self.root, [path.stem for path in flat], LAYOUT)):
            if wnid in found:
                found[wnid].append(path)
        return found

    def paths(self) -> Iterable[Path]:
        """Return each photograph once, and the file that tells their classes."""
        return dict.fromkeys(super().paths())


@dataclass(frozen=True, kw_only=True)
class PromptSplit(ArraySplit):
    """Item i asks for pair i modulo their number."""

    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return "index", "image" and the requested conditions, named as in ``datamodules.scenes``; other: of another pair."""
        asked = [PAIRS[item % len(PAIRS)] for item in items.tolist()]
        others = [PAIRS[(item + len(PAIRS) // 2) % len(PAIRS)] for item in items.tolist()]
        found: dict[str, Any] = {
            "label": torch.tensor([label for _, label, _ in asked]),
            "scene": torch.tensor([TEXTS.index(text) for text, _, _ in asked]),
            "other": torch.tensor([label for _, label, _ in others]),
            "first_class": torch.zeros(len(items), dtype=torch.int64),
            "caption": [text for text, _, _ in asked],
            "object_caption": [object_caption(thing) for _, _, thing in asked],
            "full_caption": [full_caption(text, thing) for text, _, thing in asked],
            "other_caption": [object_caption(thing) for _, _, thing in others],
        }
        conditions = {name: found[name] for name in self.conditions}
        return {"index": tensor(items), "image": tensor(self.gather("images", items, flips)), "conditions": conditions}


class ScenePrompts(ArrayDataModule):
    """66 pairs of a text and a class, each with photographs of its class; half of them are test."""

    layout = LAYOUT
    known_conditions = Scenes.known_conditions
    pack_suffix = "-prompts"

    def files(self) -> PromptFiles:
        """Return the photographs of the asked classes."""
        return PromptFiles(self.root)

    def part(self, packed: PackedArrays, first: int, count: int) -> PromptSplit:
        """Return rows ``first`` to ``first + count`` as a split."""
        return PromptSplit(packed=packed, first=first, count=count, conditions=self.conditions)
