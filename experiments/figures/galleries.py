"""Sheets of samples: real image, conditions, then each row of the table above its parsed map. First images, uncurated."""

import colorsys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from datamodules.faces.classes import PALETTE
from experiments.core.edits import target_indices
from experiments.protocols.samples import Samples
from experiments.spec import Row
from lightning_mmdiff.runtime.files import atomic_path

NUM_IMAGES = 10
SEARCHED = 100
"""Number of images searched for the first of each class."""
LABEL_WIDTH = 250  # pixels
HEIGHT = 80
"""Height and width in pixels of a picture on a sheet."""
Strip = tuple[str, np.ndarray]
"""Label and pictures, uint8 [N, H, W, 3]."""


def shown(evaluation: Samples) -> list[int]:
    """Return the image indices on a sheet: the first of each class if there are as many classes as places, else the first."""
    count = min(SEARCHED, evaluation.run.num_images)
    batch = evaluation.data.test.batch([i % len(evaluation.data.test) for i in range(count)])
    labels = batch["conditions"].get("label", torch.zeros(count)).tolist()
    first = [labels.index(label) for label in sorted(set(labels))]
    return first if len(first) == NUM_IMAGES else list(range(min(NUM_IMAGES, count)))


def condition_strips(evaluation: Samples) -> Iterator[Strip]:
    """Yield the real images and their conditions, as pictures."""
    numbers, count = shown(evaluation), len(evaluation.data.test)
    if evaluation.run.method.target_shift:
        yield "image to edit", _pictures(evaluation.data.test.batch([i % count for i in numbers])["image"])
    targets = target_indices(evaluation.run, count)
    batch = evaluation.data.test.batch([targets[i] for i in numbers])
    yield (
        "real image" if not evaluation.run.method.target_shift else "image with the wanted conditions",
        _pictures(batch["image"]),
    )
    if "caption" in batch["conditions"]:
        yield "text", words(batch["conditions"]["caption"])
        packed: Any = getattr(evaluation.data.test, "packed", None)
        if "label" in batch["conditions"] and packed and packed.classes:
            yield "class", words([packed.classes[label] for label in batch["conditions"]["label"].tolist()])
    for name, value in batch["conditions"].items():
        if isinstance(value, torch.Tensor) and value.ndim == 4:
            yield f"condition: {name.replace('_', ' ')}", _condition(value.numpy())


def are_equal(first: Sequence[Strip], second: Sequence[Strip]) -> bool:
    """Return whether two lists of strips look the same."""
    same_labels = [label for label, _ in first] == [label for label, _ in second]
    return same_labels and all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, second))


def sample_strips(row: Row, evaluation: Samples, *, parsed: bool) -> Iterator[Strip]:
    """Yield the row's first samples, and their label maps by the face parser."""
    images = evaluation.images[shown(evaluation)]
    yield row.label, _pictures(images)
    if parsed:
        yield "  parsed", PALETTE[evaluation.parsed(images)]


def words(texts: Sequence[str]) -> np.ndarray:
    """Return each text as a picture, uint8 [N, HEIGHT, HEIGHT, 3]; what does not fit ends in dots."""
    font, pictures = ImageFont.load_default(size=12), []
    for text in texts:
        lines = _wrapped(text, width=12).split("\n")
        shown = "\n".join(lines if len(lines) <= 5 else [*lines[:4], f"{lines[4]} ..."])
        picture = Image.new("RGB", (HEIGHT, HEIGHT), "white")
        ImageDraw.Draw(picture).multiline_text(
            (HEIGHT / 2, HEIGHT / 2), shown, fill="black", font=font, anchor="mm", align="center"
        )
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def sheet(strips: Sequence[Strip], path: Path, *, height: int = HEIGHT) -> None:
    """Draw the strips below each other, each picture ``height`` pixels high, and write a PNG."""
    font = ImageFont.load_default(size=13)
    rows = [(label, [_resized(p, height) for p in pictures]) for label, pictures in strips]
    width = LABEL_WIDTH + (height + 2) * max(len(pictures) for _, pictures in rows)
    canvas = Image.new("RGB", (width, (height + 2) * len(rows)), "white")
    draw = ImageDraw.Draw(canvas)
    for y, (label, pictures) in enumerate(rows):
        top = y * (height + 2)
        draw.multiline_text((6, top + height / 2), _wrapped(label), fill="black", font=font, anchor="lm")
        for x, picture in enumerate(pictures):
            canvas.paste(picture, (LABEL_WIDTH + x * (height + 2), top))
    with atomic_path(path) as temporary:
        canvas.save(temporary, optimize=True)


def _pictures(images: torch.Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy()


def _condition(maps: np.ndarray) -> np.ndarray:
    """Convert uint8 [N, C, H, W] to pictures: gray for one channel, RGB for three, one color per channel for more."""
    if maps.shape[1] == 3:  # a photograph, an image with holes
        return maps.transpose(0, 2, 3, 1)
    if maps.shape[1] == 1:
        return np.repeat(maps.transpose(0, 2, 3, 1), 3, axis=3)
    colors = np.array([_hue(i / maps.shape[1]) for i in range(maps.shape[1])])
    mixed = np.einsum("nchw,cd->nhwd", maps / 255, colors)
    return mixed.clip(0, 255).astype(np.uint8)


def _resized(picture: np.ndarray, height: int) -> Image.Image:
    image = Image.fromarray(picture)
    resample = Image.Resampling.NEAREST if image.height <= height else Image.Resampling.LANCZOS
    return image.resize((height, height), resample)


def _wrapped(label: str, width: int = 36) -> str:
    lines = [""]
    for word in label.split(" "):
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += ("" if not lines[-1] else " ") + word
    return "\n".join(lines)


def _hue(h: float) -> tuple[int, int, int]:
    r, g, b = colorsys.hsv_to_rgb(h, 0.65, 0.95)
    return int(255 * r), int(255 * g), int(255 * b)
