"""Images with a class: shared code of ImageNet, CIFAR-10 and the digits."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from datamodules.batches.masking import MaskConfig, fixed_masks, train_masks
from datamodules.images.module import ArrayDataModule
from datamodules.images.packed import ArraySplit, PackedArrays, tensor
from datamodules.storage.data_files import DataFiles
from datamodules.storage.listing import expected
from lightning_mmdiff.errors import MissingFileError, UserError


@dataclass(frozen=True, kw_only=True)
class LabeledSplit(ArraySplit):
    """Images with their classes, and the same images with holes."""

    masks: MaskConfig | None = None

    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return "index", "image" and the requested conditions.

        Those are "label" int64 [B], "caption" (B strings), "masked_image" uint8 [B, 3, S, S] with 0 in its holes and,
        always together with it, "mask" uint8 [B, 1, S, S], 255 where the image is visible and 0 in a hole.
        """
        image = self.gather("images", items, flips)
        conditions: dict[str, Any] = {}
        if "label" in self.conditions:
            conditions["label"] = tensor(self.packed.arrays["labels"][self.first + items])
        if "caption" in self.conditions:
            assert self.packed.captions is not None  # checked in setup()
            conditions["caption"] = [self.packed.captions[self.first + item] for item in items.tolist()]
        if "masked_image" in self.conditions:
            mask = self._mask(items, keys, image.shape[-1])
            conditions |= {"masked_image": tensor(image & mask), "mask": tensor(mask)}
        return {"index": tensor(items), "image": tensor(image), "conditions": conditions}

    def _mask(self, items: np.ndarray, keys: np.ndarray | None, size: int) -> np.ndarray:
        assert self.masks is not None  # checked by the data module
        return fixed_masks(self.masks, items, size) if keys is None else train_masks(self.masks, keys, size)


@dataclass(frozen=True, kw_only=True)
class ClassSplit(LabeledSplit):
    """The images of one class within a part; item i is image ``kept[i]`` of the part, which is also its "index"."""

    kept: np.ndarray  # int64 [K]

    def __len__(self) -> int:
        return len(self.kept)

    def assemble(self, items: np.ndarray, flips: np.ndarray, keys: np.ndarray | None) -> dict[str, Any]:
        """Return the batch of the images ``kept[items]`` of the part."""
        return super().assemble(self.kept[items], flips, keys)


class LabeledDataModule(ArrayDataModule):
    """A data set of images with a class.

    Args:
        only_class: class to which the training images are restricted; all test images remain.
        masks: holes of the condition "masked_image". In training they depend on (seed, step, row), otherwise on the
            item, so that every method is tested on the same holes.
        settings: see ``PackedDataModule``.
    """

    known_conditions = ("label", "masked_image", "caption")
    options = ("only_class", "masks")
    train: LabeledSplit
    test: LabeledSplit

    def __init__(self, *, only_class: int | None = None, masks: MaskConfig | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.check_options(self.conditions, only_class=only_class, masks=masks)
        self.only_class, self.masks = only_class, masks

    @classmethod
    def check_options(cls, conditions: tuple[str, ...], **options: Any) -> None:
        """Raise UserError for a class below 0, or if masks are needed but not given."""
        if options.get("only_class") is not None and options["only_class"] < 0:
            raise UserError(f"only_class is {options['only_class']}, but classes count from 0.")
        if "masked_image" in conditions and options.get("masks") is None:
            raise UserError("Condition 'masked_image' needs masks=MaskConfig(low=..., high=..., patch=...).")

    def setup(self, stage: str | None = None) -> None:
        """Memory-map the packed arrays and split them.

        Raises:
            UserError: if no training image is of class ``only_class``.
        """
        super().setup(stage)
        if self.only_class is None:
            return
        part, labels = self.train, self.train.packed.arrays["labels"]
        kept = np.flatnonzero(labels[part.first : part.first + part.count] == self.only_class)
        if not len(kept):
            raise UserError(f"{self.root}: no training image is of class {self.only_class}; choose one that exists.")
        self.train = ClassSplit(
            packed=part.packed,
            first=part.first,
            count=part.count,
            conditions=part.conditions,
            masks=part.masks,
            kept=kept,
        )

    def part(self, packed: PackedArrays, first: int, count: int) -> LabeledSplit:
        """Return rows ``first`` to ``first + count`` as a split."""
        return LabeledSplit(packed=packed, first=first, count=count, conditions=self.conditions, masks=self.masks)

    def require(self, found: DataFiles | PackedArrays) -> None:
        """Raise FileNotFoundError if captions are requested but missing."""
        if "caption" in self.conditions and found.captions is None:
            raise MissingFileError(
                f"{self.root}: condition caption needs captions; looked for captions.json there. "
                + expected(self.root, self.layout)
            )
