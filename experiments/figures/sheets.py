"""Files of a gallery: a sheet with everything on it, a picture for each strip, and what ``table.json`` says of them."""

import hashlib
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from experiments.figures import palette
from experiments.figures.galleries import Strip
from lightning_mmdiff.runtime.files import atomic_path

HEIGHT = 80  # pixels of a picture on a sheet
LABEL_WIDTH = 250  # pixels
LINE = 12  # pixels of a line of small text
CAPTION_WIDTH = 14  # characters
MAX_SIDE = 128  # pixels of a picture in a strip
PHOTO_SIDE = 48  # photographs at least this large are stored as JPEG

Bar = dict[str, Any]
"""What the colors of a map mean: "low", "high" and "colors" from low to high, ``#rrggbb``."""


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
    wide = np.concatenate([np.asarray(_resized(picture, side)) for picture in strip.pictures], axis=1)
    photo = side >= PHOTO_SIDE and not strip.shows_classes
    name = f"strip-{hashlib.sha256(wide.tobytes()).hexdigest()[:12]}.{'jpg' if photo else 'png'}"
    if not (folder / name).is_file():
        with atomic_path(folder / name) as temporary:
            Image.fromarray(wide).save(temporary, **({"quality": 88} if photo else {"optimize": True}))
    return name


def draw(
    path: Path,
    strips: Sequence[Strip],
    *,
    captions: Sequence[str] = (),
    legend: Sequence[tuple[str, str]] = (),
    bar: Bar | None = None,
) -> None:
    """Draw the strips below each other, then captions and the legend, and write a PNG.

    Args:
        path: the PNG.
        strips: strips with their labels.
        captions: text below each column.
        legend: name and color of each class.
        bar: what the colors mean, if they are values.
    """
    font, small = ImageFont.load_default(size=13), ImageFont.load_default(size=10)
    columns = max(len(strip.pictures) for strip in strips)
    texts = [textwrap.fill(text, CAPTION_WIDTH) for text in captions]
    below = LINE * max((text.count("\n") + 2 for text in texts), default=0)
    size = (HEIGHT + 2) * len(strips)
    canvas = Image.new(
        "RGB", (LABEL_WIDTH + (HEIGHT + 2) * columns, size + below + (2 * LINE if legend or bar else 0)), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for y, strip in enumerate(strips):
        top = y * (HEIGHT + 2)
        words = textwrap.fill(strip.label, 36)
        draw.multiline_text((6, top + HEIGHT / 2), words, fill="black", font=font, anchor="lm")
        for x, picture in enumerate(strip.pictures):
            canvas.paste(_resized(picture, HEIGHT), (LABEL_WIDTH + x * (HEIGHT + 2), top))
    for x, text in enumerate(texts):
        draw.multiline_text((LABEL_WIDTH + x * (HEIGHT + 2), size + 1), text, fill="black", font=small, spacing=1)
    place = (float(LABEL_WIDTH), size + below + 4.0)
    colors = list(legend) if legend else [("", color) for color in bar["colors"]] if bar else []
    names = [bar["low"], *[""] * (len(colors) - 2), bar["high"]] if bar and not legend else [name for name, _ in colors]
    for (_, color), name in zip(colors, names):
        draw.rectangle((place[0], place[1], place[0] + LINE, place[1] + LINE), fill=color)
        draw.text((place[0] + LINE + 3, place[1]), name, fill="black", font=small)
        place = (place[0] + LINE + (draw.textlength(name, font=small) + 12 if name else 1), place[1])
    with atomic_path(path) as temporary:
        canvas.save(temporary, optimize=True)


def _resized(picture: np.ndarray, height: int) -> Image.Image:
    image = Image.fromarray(picture)
    resample = Image.Resampling.NEAREST if image.height <= height else Image.Resampling.LANCZOS
    return image if image.height == height else image.resize((height, height), resample)
