"""Configuration of a run's data set: its name, size and conditions, all checked on construction."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from datamodules.base import PackedDataModule
from datamodules.batches.masking import MaskConfig
from datamodules.catalogue import DataSet, data_set, data_sets
from datamodules.faces.captions import CaptionKind
from datamodules.faces.classes import LABEL_CONDITIONS
from datamodules.faces.split import Split
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError

COMMON = ("dataset", "image_size", "conditions")
"""Fields that every data set accepts; of the others, each accepts those in the ``options`` of its module."""


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """Configuration of a run's data set."""

    dataset: str
    """Name in ``datamodules.catalogue``."""
    image_size: int
    """Height and width in pixels."""
    conditions: tuple[str, ...] = ()
    """Names of the conditions in a batch."""
    captions: CaptionKind | None = None
    split: Split = "paper"
    masks: MaskConfig | None = None
    """Holes of the condition "masked_image"."""
    only_class: int | None = None
    """Class to which the training images are restricted, if the data set has classes."""
    label_size: int | None = None
    """Height and width in pixels of the conditions made of label maps, read at the size of their files; None: image_size."""

    def __post_init__(self) -> None:
        super().__post_init__()
        module = self.data_set.module
        if self.image_size < 1:
            raise UserError(f"{self.dataset} at image_size={self.image_size}: expected at least 1 pixel.")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in (*COMMON, *module.options) and value != field.default:
                takers = ", ".join(entry.name for entry in data_sets() if field.name in entry.module.options)
                raise UserError(
                    f"{self.dataset} takes no {field.name}, but {field.name}={value!r} was given: "
                    f"leave it out, or choose one of {takers}."
                )
        module.check_conditions(self.conditions)
        module.check_options(self.conditions, **self.options)

    @property
    def data_set(self) -> DataSet:
        """Entry of the data set in ``datamodules.catalogue``."""
        return data_set(self.dataset)

    @property
    def options(self) -> dict[str, Any]:
        """Fields that this data set accepts but others may not."""
        return {name: getattr(self, name) for name in self.data_set.module.options}

    def size_of(self, condition: str) -> int:
        """Return the height and width of a spatial condition in pixels."""
        return self.label_size if self.label_size and condition in LABEL_CONDITIONS else self.image_size

    def open(self, root: Path, *, batch_size: int = 64, seed: int = 0, cache: Path | None = None) -> PackedDataModule:
        """Create the data module without reading anything.

        Args:
            root: root folder of all data sets.
            batch_size: rows of a training batch over all processes.
            seed: seed of the order of the training images and of all other random draws for them.
            cache: folder for packed data that does not already lie beside its files.
        """
        module = self.data_set.module(
            root=root / self.data_set.folder, image_size=self.image_size, batch_size=batch_size,
            conditions=self.conditions, seed=seed, **self.options,
        )  # fmt: skip
        if not module.folder.exists():
            module.cache = cache
        return module
