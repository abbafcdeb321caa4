"""The first samples of a row as a sheet, straight from its shards: fixed seeds, uncurated."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import stored_array
from reports.schema import Row, Run

COUNT = 16
COLUMNS = 8
SIDE = 64  # pixels at least
MAX_SIDE = 128  # pixels at most
GAP = 2  # pixels
QUALITY = 85


def run_with_samples(row: Row) -> Run | None:
    """Return the first seed of a row that has samples, or None if none has."""
    return next((run for run in row.runs if RunFolder(run.folder).shard(0).is_file()), None)


def sheet(folder: Path) -> bytes | None:
    """Return a JPEG of the first images of a run in two lines, or None if its first shard does not hold images."""
    stored = stored_array(RunFolder(folder).shard(0))
    if stored is None or not stored.ndim:
        return None
    images = stored[:COUNT]
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.uint8 or not len(images):
        return None
    pictures = [_resized(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))) for image in images]
    width, height = (size + GAP for size in pictures[0].size)
    canvas = Image.new("RGB", (width * min(COLUMNS, len(pictures)), height * -(-len(pictures) // COLUMNS)), "white")
    for i, picture in enumerate(pictures):
        canvas.paste(picture, (width * (i % COLUMNS), height * (i // COLUMNS)))
    buffer = io.BytesIO()
    canvas.save(buffer, format="JPEG", quality=QUALITY)
    return buffer.getvalue()


def _resized(image: Image.Image) -> Image.Image:
    """Enlarge small images by an integer factor, pixel by pixel; reduce large ones."""
    if image.height <= MAX_SIDE:
        factor = max(1, round(SIDE / image.height))
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    return image.resize((round(image.width * MAX_SIDE / image.height), MAX_SIDE), Image.Resampling.LANCZOS)
