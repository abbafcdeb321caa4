"""Files of a gallery: a sheet with everything on it, a picture for each strip, and what ``table.json`` says of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.figures import palette
from experiments.figures.galleries import Strip
from lightning_mmdiff.runtime.files import atomic_path
from reports.sheet import Bar, draw, resized

MAX_SIDE = 128  # pixels of a picture in a strip
PHOTO_SIDE = 48  # photographs at least this large are stored as JPEG


def write(
    path: Path,
    title: str,
    caption: str,
    strips: Sequence[Strip],
    *,
    captions: Sequence[str] = (),
    bar: Bar | None = None,
) -> dict[str, Any]:
    """Write a sheet and its strips beside it; return their entry of ``table.json``.

    Args:
        path: PNG of the sheet.
        title: title of the gallery.
        caption: sentence about it.
        strips: its strips.
        captions: text below each column of pictures.
        bar: what the colors mean, if they are values.
    """
    legend = palette.legend(strip.pictures for strip in strips if strip.shows_classes)
    draw(path, strips, captions=captions, legend=legend, bar=bar)
    return {
        "title": title, "caption": caption, "file": path.name, "captions": list(captions), "legend": legend, "bar": bar,
        "count": max(len(strip.pictures) for strip in strips),
        "strips": [{"label": s.label, "row": s.row, "file": _write_strip(path.parent, s)} for s in strips],
    }  # fmt: skip


def _write_strip(folder: Path, strip: Strip) -> str:
    """Write the pictures side by side, never enlarged, under a name that equal strips share; return the name."""
    side = min(MAX_SIDE, strip.pictures.shape[1])
    wide = np.concatenate([np.asarray(resized(picture, side)) for picture in strip.pictures], axis=1)
    photo = side >= PHOTO_SIDE and not strip.shows_classes
    name = f"strip-{hashlib.sha256(wide.tobytes()).hexdigest()[:12]}.{'jpg' if photo else 'png'}"
    if not (folder / name).is_file():
        with atomic_path(folder / name) as temporary:
            Image.fromarray(wide).save(temporary, **({"quality": 88} if photo else {"optimize": True}))
    return name
