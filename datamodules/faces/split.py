"""One part (train or test) of a packed face data set: batches by index, assembled with one gather per array."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from datamodules.batches.steps import Draw
from datamodules.faces.classes import LABEL_CONDITIONS, PALETTE, flip_label_map, label_condition
from datamodules.faces.packed import Packed
from datamodules.images.packed import mirrored, tensor
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.segmentation import resize_labels

PAPER_IMAGES, PAPER_TEST = (
    30_000,
    3_000,
)  # Unite and Conquer, Collaborative Diffusion: 27,000 training and 3,000 test images

Split = Literal["paper", "official", "reduced", "validation"]


@dataclass(frozen=True, kw_only=True)
class FaceSplit:
    """A view of selected rows of the packed arrays; item i is row ``rows[i]``."""

    packed: Packed
    rows: np.ndarray  # int64 [n]
    conditions: tuple[str, ...]
    captions: list[list[str]] | None = None  # of each item
    label_size: int | None = None  # L, pixels at which conditions made of classes are read; None: S

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """Image file names of the items."""
        return [self.packed.names[row] for row in self.rows]

    def batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the items ``indices`` unchanged: not mirrored, with the first caption of each.

        Returns:
            "index" int64 [B], "image" uint8 [B, 3, S, S], "label_map" uint8 [B, S, S] if the data set has them, and
            "conditions": name -> uint8 [B, C, S, S] ([B, C, L, L] if made of classes), int8 [B, 40] ("attributes") or
            list of B strings ("caption").
        """
        return self.draw([Draw(index, flip=False, choice=0) for index in indices])

    def draw(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """Return the drawn items, mirrored and captioned as drawn, in the format of ``batch``."""
        indices = np.array([draw.item for draw in draws], np.int64)
        flips = np.array([draw.flip for draw in draws], bool)
        rows = self.rows[indices]
        batch: dict[str, Any] = {
            "index": tensor(indices),
            "image": tensor(mirrored(self.packed.images[rows], flips)),
        }
        label_map = None
        if self.packed.label_maps is not None:
            label_map = _mirrored_labels(self.packed.label_maps[rows], flips)
            batch["label_map"] = tensor(label_map)
        batch["conditions"] = {name: self._condition(name, draws, rows, flips, label_map) for name in self.conditions}
        return batch

    def original_label_maps(self, indices: Sequence[int]) -> np.ndarray:
        """Return the label maps of the items ``indices`` at the size of their files, uint8 [B, H, H]."""
        assert self.packed.original_label_maps is not None  # the caller asks for nothing that the data set lacks
        return self.packed.original_label_maps[self.rows[np.array(indices, np.int64)]]

    def _condition(
        self, name: str, draws: Sequence[Draw], rows: np.ndarray, flips: np.ndarray, label_map: np.ndarray | None
    ) -> Tensor | list[str]:
        if name in LABEL_CONDITIONS:
            assert label_map is not None  # checked in setup()
            return tensor(label_condition(name, label_map if self.label_size is None else self._small(rows, flips)))
        if name == "mask_picture":
            assert label_map is not None
            return tensor(PALETTE[label_map].transpose(0, 3, 1, 2))
        if name == "sketch":
            return tensor(mirrored(self.packed.sketches[rows], flips))
        if name == "attributes":
            assert self.packed.attributes is not None
            return tensor(self.packed.attributes[rows])
        assert name == "caption"
        assert self.captions is not None
        choices = [(self.captions[draw.item], draw.choice) for draw in draws]
        return [texts[choice % len(texts)] for texts, choice in choices]

    def _small(self, rows: np.ndarray, flips: np.ndarray) -> np.ndarray:
        """Return label maps [B, L, L] reduced from the size of their files in one step."""
        assert self.packed.original_label_maps is not None
        assert self.label_size is not None
        whole = self.packed.original_label_maps[rows]
        return _mirrored_labels(resize_labels(whole, (self.label_size, self.label_size)), flips)


def _mirrored_labels(label_maps: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Mirror the label maps [B, S, S] marked by ``flips`` [B] in place, which must be a copy (a gather)."""
    label_maps[flips] = flip_label_map(label_maps[flips])
    return label_maps


def num_test(count: int, total: int) -> int:
    """Return the number of test images of every split but the official one, for ``count`` images numbered up to ``total``."""
    return PAPER_TEST if total >= PAPER_IMAGES else max(1, count // 10)


def split_rows(packed: Packed, split: Split, order: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the training rows and the test rows.

    "paper": of the first 30,000 images, the last 3,000 are for testing; of a smaller set, the last tenth. "reduced": the
    same, but as many images before the test images are left out of training. "validation": training uses only those.
    "official": the data set's own file decides; its validation part is in neither.

    Args:
        packed: the data set.
        split: name of the split.
        order: usable rows, in the order that defines first and last.

    Raises:
        UserError: if a part would be empty.
    """
    if split != "official":
        usable = list(order)[:PAPER_IMAGES]
        last = num_test(len(usable), packed.total)
        train, validation, test = usable[: -2 * last], usable[-2 * last : -last], usable[-last:]
        train = {"paper": train + validation, "reduced": train, "validation": validation}[split]
    else:
        assert packed.official_split is not None  # checked in setup()
        train, test = ([row for row in order if packed.official_split[row] == part] for part in ("train", "test"))
    if not train or not test:
        raise UserError(
            f"{packed.folder}: the {split} split of {len(order)} images has {len(train)} to train and {len(test)} "
            "to test; both need at least one. Fetch more images"
            + (", or use split='paper'." if split == "official" else ".")
        )
    return np.array(train, np.int64), np.array(test, np.int64)
