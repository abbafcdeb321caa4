"""A sheet of pictures: labelled strips below each other, captions below the columns, and what the colors mean."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from lightning_mmdiff.runtime.files import atomic_path

HEIGHT = 80  # pixels of a picture on a sheet
LABEL_WIDTH = 250  # pixels
LINE = 12  # pixels of a line of small text
CAPTION_WIDTH = 14  # characters, below pictures of that height

Bar = dict[str, Any]
"""What the colors of a map mean: "low", "high" and "colors" from low to high, ``#rrggbb``."""


class Labelled(Protocol):
    """Pictures of the same images side by side."""

    @property
    def label(self) -> str:
        """What they are."""

    @property
    def pictures(self) -> np.ndarray:
        """uint8 [N, H, W, 3]."""


def draw(
    path: Path,
    strips: Sequence[Labelled],
    *,
    captions: Sequence[str] = (),
    legend: Sequence[tuple[str, str]] = (),
    bar: Bar | None = None,
    height: int = HEIGHT,
    about: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Draw the strips below each other, then captions and the legend, and write a PNG.

    Args:
        path: the PNG.
        strips: strips with their labels.
        captions: text below each column.
        legend: name and color of each class.
        bar: what the colors mean, if they are values.
        height: pixels of a picture.
        about: texts in the file, for those who have it alone.
    """
    font, small = ImageFont.load_default(size=13), ImageFont.load_default(size=10)
    columns = max(len(strip.pictures) for strip in strips)
    texts = [textwrap.fill(text, CAPTION_WIDTH * height // HEIGHT) for text in captions]
    below = LINE * max((text.count("\n") + 2 for text in texts), default=0)
    size = (height + 2) * len(strips)
    canvas = Image.new(
        "RGB", (LABEL_WIDTH + (height + 2) * columns, size + below + (2 * LINE if legend or bar else 0)), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for y, strip in enumerate(strips):
        top = y * (height + 2)
        words = textwrap.fill(strip.label, 36)
        draw.multiline_text((6, top + height / 2), words, fill="black", font=font, anchor="lm")
        for x, picture in enumerate(strip.pictures):
            canvas.paste(resized(picture, height), (LABEL_WIDTH + x * (height + 2), top))
    for x, text in enumerate(texts):
        draw.multiline_text((LABEL_WIDTH + x * (height + 2), size + 1), text, fill="black", font=small, spacing=1)
    _keys(draw, size + below + 4.0, legend, bar)
    written = PngInfo()
    for key, text in about.items():
        written.add_text(key, text)
    with atomic_path(path) as temporary:
        canvas.save(temporary, optimize=True, pnginfo=written)


def resized(picture: np.ndarray, height: int) -> Image.Image:
    """Return a square picture, uint8 [H, W, 3], at another height: enlarged pixel by pixel, or reduced smoothly."""
    image = Image.fromarray(picture)
    resample = Image.Resampling.NEAREST if image.height <= height else Image.Resampling.LANCZOS
    return image if image.height == height else image.resize((height, height), resample)


def _keys(draw: ImageDraw.ImageDraw, top: float, legend: Sequence[tuple[str, str]], bar: Bar | None) -> None:
    """Draw what the colors mean, side by side."""
    font = ImageFont.load_default(size=10)
    place = (float(LABEL_WIDTH), top)
    colors = list(legend) if legend else [("", color) for color in bar["colors"]] if bar else []
    names = [bar["low"], *[""] * (len(colors) - 2), bar["high"]] if bar and not legend else [name for name, _ in colors]
    for (_, color), name in zip(colors, names):
        draw.rectangle((place[0], place[1], place[0] + LINE, place[1] + LINE), fill=color)
        draw.text((place[0] + LINE + 3, place[1]), name, fill="black", font=font)
        place = (place[0] + LINE + (draw.textlength(name, font=font) + 12 if name else 1), place[1])
