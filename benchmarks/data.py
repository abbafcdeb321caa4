"""Speed of batches of faces: packed, memory-mapped arrays against decoding a JPEG and merging its part masks each time.

    python -m benchmarks.data [--data FOLDER_OF_CelebAMask-HQ]

Both sides run in one thread and read files that the system has cached, so the result is processor time, not disk time.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from PIL import Image
from torch import Tensor

from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from datamodules.celebamask_hq import CelebAMaskHQ
from datamodules.faces.classes import label_condition
from datamodules.faces.decoding import FaceDecoder
from datamodules.faces.files import FaceFiles
from datamodules.mini.layouts import write_celebamask_hq
from datamodules.storage.reading import read_image
from lightning_mmdiff.runtime.commands import readable_end

MAPS = ("hair", "skin")
CONDITIONS = (*MAPS, "sketch")
RENDERED_FACES = 48


@dataclass(frozen=True, kw_only=True)
class DataFlags(BenchmarkFlags):
    """Settings for the speed of batches of faces."""

    data: Path | None = None
    """Folder in the layout of CelebAMask-HQ. Default: faces rendered for this run."""
    image_size: int = 256
    """Height and width of a batch, in pixels."""
    source_size: int = 512
    """Height and width of rendered faces and their masks, in pixels."""
    batch_size: int = 32
    """Number of images in a batch."""
    batches: int = 20
    """Number of packed batches that one timing reads (the reference decodes one batch)."""


def decoded_pair(files: FaceFiles, numbers: list[int], size: int) -> list[np.ndarray]:
    """Return images [B, 3, S, S] and label maps [B, S, S], uint8, decoded from the files with plain Pillow."""
    images = [read_image(files.image(n), "RGB").resize((size, size), Image.Resampling.BOX) for n in numbers]
    maps = [Image.fromarray(files.label_map(n)).resize((size, size), Image.Resampling.NEAREST) for n in numbers]
    return [np.stack([np.asarray(i) for i in images]).transpose(0, 3, 1, 2), np.stack([np.asarray(m) for m in maps])]


def decoded_conditions(decode: FaceDecoder, numbers: list[int]) -> list[np.ndarray]:
    """Return images, ``MAPS`` and sketches, uint8 [B, C, S, S], decoded from the files."""
    faces = [decode(number) for number in numbers]
    images, sketches, label_map = (np.stack([f[key] for f in faces]) for key in ("images", "sketches", "label_maps"))
    return [images, *(label_condition(name, label_map) for name in MAPS), sketches]


def measure(flags: DataFlags, folder: Path) -> list[Comparison]:
    """Pack the faces below ``folder``, then time both ways on the same images, without and with conditions."""
    root = flags.data or folder / "CelebAMask-HQ"
    if flags.data is None:
        write_celebamask_hq(root, count=RENDERED_FACES, image_size=flags.source_size)
    common: dict[str, Any] = {"root": root, "image_size": flags.image_size, "batch_size": 1, "cache": folder / "packed"}
    module = CelebAMaskHQ(**common)
    conditioned = CelebAMaskHQ(**common, conditions=CONDITIONS)
    module.prepare_data()
    module.setup()
    conditioned.setup()
    files = module.files()
    decode = FaceDecoder(files, flags.image_size)
    indices = list(range(min(flags.batch_size, len(module.train))))
    numbers = [files.numbers[row] for row in module.train.rows[indices]]

    def packed_pair() -> list[Tensor]:
        batch = module.train.batch(indices)
        return [batch["image"], batch["label_map"]]

    def packed_conditions() -> list[Tensor]:
        batch = conditioned.train.batch(indices)
        return [batch["image"], *(batch["conditions"][name] for name in CONDITIONS)]

    def compare(what: str, packed: Callable[[], list[Tensor]], decoded: Callable[[], list[np.ndarray]]) -> Comparison:
        same = all(np.array_equal(ours.numpy(), theirs) for ours, theirs in zip(packed(), decoded(), strict=True))
        return Comparison(
            title=f"Faces as {what}: packed arrays against decoding JPEG and merging part masks",
            ours="packed",
            reference="decoded",
            unit="image",
            seconds=in_turn(
                Side(run=lambda: [packed() for _ in range(flags.batches)], units=len(indices) * flags.batches),
                Side(run=decoded, units=len(indices)),
                flags,
            ),
            settings={
                "faces": "rendered" if flags.data is None else root.name, "files (pixels)": decode.image_side,
                "batch (pixels)": flags.image_size, "batch": len(indices),
            },
            notes=(f"both batches are equal: {'yes' if same else 'NO'}",),
        )  # fmt: skip

    return [
        compare("image and label map", packed_pair, lambda: decoded_pair(files, numbers, flags.image_size)),
        compare(f"image, {', '.join(CONDITIONS)}", packed_conditions, lambda: decoded_conditions(decode, numbers)),
    ]


def main(flags: DataFlags) -> None:
    torch.set_num_threads(flags.threads)
    with tempfile.TemporaryDirectory() as folder:
        report(measure(flags, Path(folder)), flags)


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(DataFlags, description=__doc__))
