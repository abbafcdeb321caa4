"""Photographs of the classes that Table 3 asks for, in ImageNet's layout, made of noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from timm.data import ImageNetInfo

from datamodules import catalogue
from datamodules.images.scene_pairs import PAIRS

EACH = 2
"""Number of photographs of a class."""


def write_photographs(root: Path, /, *, count: int, image_size: int) -> None:
    """Write ``EACH`` photographs of every asked class; ``count`` is that of other data sets."""
    names, rng = ImageNetInfo(), np.random.default_rng(0)
    for label in sorted({label for _, label, _ in PAIRS}):
        folder = root / "val" / names.index_to_label_name(label)
        folder.mkdir(parents=True)
        for i in range(EACH):
            pixels = rng.integers(0, 256, (image_size, image_size, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"ILSVRC2012_val_{label * EACH + i + 1:08d}.JPEG")


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stand-ins of the prompts' photographs be written, beside those of ImageNet, which has ten classes of its own."""
    entries = (
        replace(entry, folder="scene_prompts", render=write_photographs) if entry.name == "scene_prompts" else entry
        for entry in catalogue.DATA_SETS
    )
    monkeypatch.setattr(catalogue, "DATA_SETS", tuple(entries))
