"""Rendered objects and streets, and scikit-learn's digits, written in the layouts of the data sets they stand for.

Every function does nothing if the same images already exist, and raises ValueError if the folder holds something else.
Image i depends only on (seed, part, i).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datamodules import cityscapes
from datamodules.batches.randomness import Draws
from datamodules.cifar10 import CLASSES
from datamodules.cityscapes import TRAIN_ID_OF, label_picture
from datamodules.images.folder import CAPTION_FILE
from datamodules.images.imagenet_labels import NAME_FILE
from datamodules.mini import objects, streets
from datamodules.mini.writing import chunks, hwc, write_once, write_png
from datamodules.storage.progress import Update
from lightning_mmdiff.errors import UserError

RENDERER = 1  # version of the pictures; another version is another data set
WNIDS = tuple(f"n{90_000_000 + label:08d}" for label in range(len(objects.NAMES)))  # our own ids
DIGITS_TO_TRAIN = 1500
CITY = "minitown"


def write_imagenet(root: Path, *, count: int, image_size: int, seed: int = 0) -> None:
    """Write labeled objects of ten classes in the layout of ImageNet, with names of classes and captions.

    Args:
        root: folder to create.
        count: number of training images; a quarter as many validation images are written, at least one per class.
        image_size: height and width in pixels.
        seed: seed of the objects.
    """
    least = len(WNIDS)  # every class has an image
    if count < least:
        raise UserError(f"count is {count}, but there are {least} classes of objects; choose at least {least}.")

    def write(folder: Path, advance: Update) -> None:
        texts: dict[str, str] = {}
        for part, number in _parts(count, least):
            for wnid in WNIDS:
                (folder / part / wnid).mkdir(parents=True)
            for numbers in chunks(number, image_size):
                drawn = objects.invent(seed, part, numbers)  # type: ignore[arg-type]
                pictures = objects.render(drawn, image_size)
                for i, picture, text in zip(numbers.tolist(), pictures, objects.captions(drawn)):
                    wnid = WNIDS[i % len(WNIDS)]
                    stem = f"{wnid}_{i}" if part == "train" else f"ILSVRC2012_val_{i + 1:08d}"
                    name = f"{part}/{wnid}/{stem}.JPEG"
                    _write_jpeg(folder / name, picture)
                    texts[name] = text
                advance(len(numbers))
        (folder / CAPTION_FILE).write_text(json.dumps(texts), encoding="utf-8")
        names = "".join(f"{wnid} {name}\n" for wnid, name in zip(WNIDS, objects.NAMES))
        (folder / NAME_FILE).write_text(names, encoding="utf-8")

    write_once(root, _what("objects", count, image_size, seed), "rendered images", _total(count, least), write)


def write_cifar10(root: Path, *, count: int, image_size: int, seed: int = 0) -> None:
    """Write the same objects in the class folders of CIFAR-10; the names of the folders do not describe the pictures.

    Args:
        root: folder to create.
        count: number of training images, at least ten; a quarter as many test images are written, at least one per class.
        image_size: height and width in pixels, 32 like the real images or fewer.
        seed: seed of the objects.
    """
    least = len(CLASSES)
    if count < least:
        raise UserError(f"count is {count}, but CIFAR-10 has {least} classes; choose at least {least}.")

    def write(folder: Path, advance: Update) -> None:
        for (part, number), name in zip(_parts(count, least), ("train", "test")):
            for label in CLASSES:
                (folder / name / label).mkdir(parents=True)
            for numbers in chunks(number, image_size):
                pictures = objects.render(objects.invent(seed, part, numbers), image_size)  # type: ignore[arg-type]
                for i, picture in zip(numbers.tolist(), pictures):
                    _write_jpeg(folder / name / CLASSES[i % least] / f"{i // least:04d}.jpg", picture)
                advance(len(numbers))

    write_once(
        root, _what("objects as CIFAR-10", count, image_size, seed), "rendered images", _total(count, least), write
    )


def write_cityscapes(root: Path, *, count: int, image_size: int, seed: int = 0) -> None:
    """Write square street scenes in the layout of Cityscapes: photographs, label ids, label colors.

    Args:
        root: folder to create.
        count: number of training images; a quarter as many validation images are written, at least one.
        image_size: height and width in pixels.
        seed: seed of the scenes.
    """

    def write(folder: Path, advance: Update) -> None:
        for part, number in _parts(count):
            photos, labels = (folder / top / part / CITY for top in ("leftImg8bit", "gtFine"))
            photos.mkdir(parents=True)
            labels.mkdir(parents=True)
            for numbers in chunks(number, image_size):
                pictures, label_ids = streets.render(_streets(seed, part, numbers), image_size)
                for i, picture, ids in zip(numbers.tolist(), pictures, label_ids):
                    frame = f"{CITY}_{i:06d}_000019"
                    write_png(photos / f"{frame}{cityscapes.PHOTO}", hwc(picture)[..., ::-1])
                    write_png(labels / f"{frame}{cityscapes.LABEL}", ids)
                    colors = hwc(label_picture(TRAIN_ID_OF[ids]))
                    write_png(labels / f"{frame}_gtFine_color.png", colors[..., ::-1])
                advance(len(numbers))

    write_once(root, _what("streets", count, image_size, seed), "rendered images", _total(count), write)


def write_night2day(root: Path, *, count: int, image_size: int, seed: int = 0) -> None:
    """Write pairs of the same street by night and by day in the layout of night2day.

    Args:
        root: folder to create.
        count: number of training pairs; a quarter as many validation pairs are written, at least one.
        image_size: height and width of each image in pixels.
        seed: seed of the scenes.
    """

    def write(folder: Path, advance: Update) -> None:
        for part, number in _parts(count):
            (folder / part).mkdir()
            for numbers in chunks(number, image_size):
                draws = _streets(seed, f"night2day {part}", numbers)
                nights, days = (streets.render(draws, image_size, night=night)[0] for night in (True, False))
                for i, pair in zip(numbers.tolist(), np.concatenate([nights, days], axis=-1)):
                    _write_jpeg(folder / part / f"{i + 1}.jpg", pair)
                advance(len(numbers))

    write_once(root, _what("night and day", count, image_size, seed), "rendered images", _total(count), write)


def write_digits(root: Path, **_: int) -> None:
    """Write scikit-learn's 1,797 digits as PNGs of 8 x 8 pixels in class folders, the first 1,500 for training.

    Their size and number are fixed, so the settings of rendered images have no effect.
    """
    from sklearn.datasets import load_digits  # takes a second to import

    def write(folder: Path, advance: Update) -> None:
        digits = load_digits()
        for i, (image, label) in enumerate(zip(digits.images, digits.target)):
            place = folder / ("train" if i < DIGITS_TO_TRAIN else "test") / str(label)
            place.mkdir(parents=True, exist_ok=True)
            write_png(place / f"{i:04d}.png", np.rint(image * (255 / 16)).astype(np.uint8))  # values are 0 to 16
            advance(1)

    write_once(root, {"kind": "digits", "renderer": RENDERER}, "digits", 1797, write)


def _parts(count: int, least: int = 1) -> tuple[tuple[str, int], ...]:
    return (("train", count), ("val", max(least, count // 4)))


def _total(count: int, least: int = 1) -> int:
    return sum(number for _, number in _parts(count, least))


def _what(kind: str, count: int, image_size: int, seed: int) -> dict[str, Any]:
    return {"kind": kind, "count": count, "image_size": image_size, "seed": seed, "renderer": RENDERER}


def _streets(seed: int, part: str, numbers: np.ndarray) -> Draws:
    return Draws("streets", seed, part, indices=numbers)


def _write_jpeg(path: Path, picture: np.ndarray) -> None:
    Image.fromarray(hwc(picture)).save(path, quality=100, subsampling=0)
