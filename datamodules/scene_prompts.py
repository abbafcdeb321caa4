"""The pairs of a text and an ImageNet class of ``images/scene_pairs.py``, with validation photographs of the class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from datamodules.imagenet import LAYOUT, ImageNetFolderFiles
from datamodules.images.module import ArrayDataModule
from datamodules.images.packed import ArraySplit, PackedArrays, tensor
from datamodules.images.scene_pairs import PAIRS
from datamodules.scenes import Scenes, full_caption, object_caption
from lightning_mmdiff.errors import MissingFileError

TEXTS = tuple(dict.fromkeys(text for text, _, _ in PAIRS))
"""Distinct texts; their numbers are the condition "scene"."""


class PromptFiles(ImageNetFolderFiles):
    """Validation photographs of the asked classes: the first of each pair in turn, then the second, and so on."""

    def __init__(self, root: Any) -> None:
        super().__init__(root)
        most = max(label for _, label, _ in PAIRS)
        if len(self.wnids) <= most:
            raise MissingFileError(
                f"{root}: has {len(self.wnids)} classes; the asked pairs need class {most} of ImageNet."
            )
        photographs = self.items[self.num_train :]
        of_class = {
            wnid: [item for item in photographs if item[0] == wnid] for wnid in {self.wnids[k] for _, k, _ in PAIRS}
        }
        rounds = min(map(len, of_class.values()))
        self.items = [of_class[self.wnids[label]][turn] for turn in range(rounds) for _, label, _ in PAIRS]
        self.num_train, self.num_test, self.captions = 0, len(self.items), None


@dataclass(frozen=True, kw_only=True)
class PromptSplit(ArraySplit):
    """Item i asks for pair i modulo their number."""

    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return "index", "image" and the requested conditions, named as in ``datamodules.scenes``."""
        asked = [PAIRS[item % len(PAIRS)] for item in items.tolist()]
        others = [PAIRS[(item + len(PAIRS) // 2) % len(PAIRS)] for item in items.tolist()]
        found = {
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
    """66 pairs of a text and a class, each with photographs of its class; nothing to train on."""

    layout = LAYOUT
    known_conditions = Scenes.known_conditions
    pack_suffix = "-prompts"

    def files(self) -> PromptFiles:
        """Return the photographs of the asked classes."""
        return PromptFiles(self.root)

    def part(self, packed: PackedArrays, first: int, count: int) -> PromptSplit:
        """Return rows ``first`` to ``first + count`` as a split."""
        return PromptSplit(packed=packed, first=first, count=count, conditions=self.conditions)
