"""What it costs that content counts: checking that 300,000 files are unchanged, and comparing packed rows with their checksums.

    python -m benchmarks.packing [--faces 30000]

The files are tiny, in the layout of CelebAMask-HQ with nine part masks a face; how long it takes to see that none has changed
depends on their number, not on their size. Everything is in the system's cache.
"""

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from datamodules.celebamask_hq import FACES_PER_FOLDER, MASK_FOLDER, CelebAMaskHQ
from datamodules.faces.classes import FACE_CLASSES
from datamodules.storage import sources
from datamodules.storage.rows import MappedRows, write_checksums
from lightning_mmdiff.runtime.commands import readable_end

PARTS = FACE_CLASSES[1:10]
FILE_SIZE = 16  # pixels
GOAL = 20  # s for 300,000 files


@dataclass(frozen=True, kw_only=True)
class PackingFlags(BenchmarkFlags):
    """Settings for the cost of checking files and packed rows."""

    faces: int = 30_000
    """Number of faces; each has an image and nine part masks."""
    image_size: int = 256
    """Height and width of a packed image, in pixels."""
    batch_size: int = 32
    """Number of images in a batch."""
    batches: int = 20
    """Number of batches that one timing reads."""


def write_files(root: Path, faces: int) -> None:
    """Write the same tiny image and masks for every face."""
    mask = np.repeat(np.array([0, 255], np.uint8), FILE_SIZE // 2)[None].repeat(FILE_SIZE, 0)
    image = _encoded(np.zeros((FILE_SIZE, FILE_SIZE, 3), np.uint8), "JPEG")
    part = _encoded(mask, "PNG")
    (root / "CelebA-HQ-img").mkdir(parents=True)
    for number in range(faces):
        folder = root / MASK_FOLDER / str(number // FACES_PER_FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        (root / "CelebA-HQ-img" / f"{number}.jpg").write_bytes(image)
        for name in PARTS:
            (folder / f"{number:05d}_{name}.png").write_bytes(part)


def unchanged_files(flags: PackingFlags, folder: Path) -> Comparison:
    """Time ``prepare_data`` on packed data whose files have not changed, against reading all files again."""
    data = CelebAMaskHQ(root=folder / "CelebAMask-HQ", image_size=8, batch_size=1)
    write_files(data.root, flags.faces)
    data.prepare_data()
    data.prepare_data()  # reads once more what had just been written
    files = data.files()
    found = sources.look(files)
    assert sources.unchanged(found, sources.read_sources(data.folder))
    count = flags.faces * (1 + len(PARTS))
    ours, again = (
        Side(run=data.prepare_data, units=count),
        Side(run=lambda: sources.read(found, {}, files), units=count),
    )
    seconds = in_turn(ours, again, flags)
    slowest = max(ours for ours, _ in seconds) * count
    return Comparison(
        title="Seeing that no file has changed", ours="names, sizes and times", reference="reading all files again",
        unit="file", seconds=seconds, settings={"files": count},
        notes=(f"slowest check of all files: {slowest:.2f} s; 300,000 must take under {GOAL}",),
    )  # fmt: skip


def checked_rows(flags: PackingFlags, folder: Path) -> Comparison:
    """Time batches of packed images that are read for the first time, against the same array without checksums."""
    path, rows = folder / "images.npy", flags.batch_size * flags.batches
    shape = (rows, 3, flags.image_size, flags.image_size)
    np.save(path, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    write_checksums(path)
    plain, chosen = np.load(path, mmap_mode="r"), np.random.default_rng(1).permutation(rows).reshape(flags.batches, -1)

    def first_time() -> None:
        checked = MappedRows(path)
        for numbers in chosen:
            checked[numbers]

    def unchecked() -> None:
        for numbers in chosen:
            np.asarray(plain[numbers])

    first_time()
    unchecked()
    seconds = in_turn(Side(run=first_time, units=rows), Side(run=unchecked, units=rows), flags)
    extra = sorted(1e3 * (ours - reference) for ours, reference in seconds)[len(seconds) // 2]
    return Comparison(
        title="First reading of packed images", ours="compared with checksums", reference="not compared", unit="image",
        seconds=seconds, settings={"image (pixels)": flags.image_size, "batch": flags.batch_size},
        notes=(f"COST {extra:.3f} ms an image, once in a process",),
    )  # fmt: skip


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def main(flags: PackingFlags) -> None:
    torch.set_num_threads(flags.threads)
    with tempfile.TemporaryDirectory() as folder:
        report([unchanged_files(flags, Path(folder)), checked_rows(flags, Path(folder))], flags)


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(PackingFlags, description=__doc__))
