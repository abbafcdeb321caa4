"""Rendered faces written in the layouts of CelebAMask-HQ and FFHQ, so that the same data modules read them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.celebamask_hq import ATTRIBUTE_FILE, FACES_PER_FOLDER, MAPPING_FILE, MASK_FOLDER
from datamodules.faces.classes import ATTRIBUTES, FACE_CLASSES
from datamodules.ffhq import JSON_FILE, LABEL_FOLDER
from datamodules.mini import people as who
from datamodules.mini.faces import render
from datamodules.mini.writing import chunks, hwc, write_once, write_png
from datamodules.storage.progress import Update

RENDERER = 1  # version of the pictures; another version is another data set
CELEBA_IMAGES = 202_599  # in CelebA; original numbers are spread over them, so that the official split has all parts


def write_celebamask_hq(root: Path, *, count: int, image_size: int, seed: int = 0) -> None:
    """Write faces of domain A in the layout of CelebAMask-HQ with captions, unless they already exist.

    Args:
        root: folder to create.
        count: number of faces.
        image_size: height and width of images and masks in pixels.
        seed: seed of the faces; face i depends only on (seed, i).

    Raises:
        ValueError: if ``root`` holds something else.
    """
    _write_faces(root, "A", count, image_size, seed, _write_domain_a)


def write_ffhq(root: Path, *, count: int, image_size: int, seed: int = 0) -> None:
    """Write faces of domain B in the layout of FFHQ with label maps, unless they already exist.

    Args:
        root: folder to create.
        count: number of faces.
        image_size: height and width of images and label maps in pixels.
        seed: seed of the faces; face i depends only on (seed, i).

    Raises:
        ValueError: if ``root`` holds something else.
    """
    _write_faces(root, "B", count, image_size, seed, _write_domain_b)


def _write_faces(
    root: Path,
    domain: who.Domain,
    count: int,
    size: int,
    seed: int,
    write: Callable[[Path, int, int, int, Update], None],
) -> None:
    what = {"domain": domain, "count": count, "image_size": size, "seed": seed, "renderer": RENDERER}
    write_once(root, what, "rendered faces", count, lambda folder, advance: write(folder, count, size, seed, advance))


def _write_domain_a(root: Path, count: int, size: int, seed: int, advance: Update) -> None:
    images, masks = root / "CelebA-HQ-img", root / MASK_FOLDER
    images.mkdir()
    for folder in range(-(-count // FACES_PER_FOLDER)):
        (masks / str(folder)).mkdir(parents=True)
    attributes: list[np.ndarray] = []
    captions: dict[str, dict[str, object]] = {}
    for numbers in chunks(count, size):
        people = who.invent(seed, "A", numbers)
        pictures, label_maps = render(people, size)
        for number, picture, label_map in zip(numbers.tolist(), pictures, label_maps):
            Image.fromarray(hwc(picture)).save(images / f"{number}.jpg", quality=100, subsampling=0)
            _write_parts(masks / str(number // FACES_PER_FOLDER), number, label_map)
        attributes.append(who.attributes(people))
        captions |= {f"{number}.jpg": caption for number, caption in zip(numbers.tolist(), who.captions(people))}
        advance(len(numbers))
    (root / ATTRIBUTE_FILE).write_text(_attribute_text(np.concatenate(attributes)), encoding="utf-8")
    (root / MAPPING_FILE).write_text(_mapping_text(count), encoding="utf-8")
    (root / "captions_hq.json").write_text(json.dumps(captions), encoding="utf-8")


def _write_domain_b(root: Path, count: int, size: int, seed: int, advance: Update) -> None:
    labels = root / LABEL_FOLDER
    labels.mkdir()
    for first in range(0, count, 1000):
        (root / "images1024x1024" / f"{first:05d}").mkdir(parents=True)
    for numbers in chunks(count, size):
        people = who.invent(seed, "B", numbers)
        pictures, label_maps = render(people, size)
        for number, picture, label_map in zip(numbers.tolist(), pictures, label_maps):
            folder = root / "images1024x1024" / f"{number - number % 1000:05d}"
            write_png(folder / f"{number:05d}.png", hwc(picture)[..., ::-1])
            write_png(labels / f"{number:05d}.png", label_map)
        advance(len(numbers))
    training = count - max(1, count // 7)  # FFHQ: 60,000 of 70,000
    category = ["training" if number < training else "validation" for number in range(count)]
    entries = {str(i): {"category": name} for i, name in enumerate(category)}
    (root / JSON_FILE).write_text(json.dumps(entries), encoding="utf-8")


def _write_parts(folder: Path, number: int, label_map: np.ndarray) -> None:
    for label in np.flatnonzero(np.bincount(label_map.ravel())).tolist():
        if label:
            mask = (label_map == label).astype(np.uint8) * 255
            write_png(folder / f"{number:05d}_{FACE_CLASSES[label]}.png", mask)


def _attribute_text(attributes: np.ndarray) -> str:
    rows = (f"{i}.jpg  " + " ".join("1" if value else "-1" for value in row) for i, row in enumerate(attributes))
    return "\n".join([str(len(attributes)), " ".join(ATTRIBUTES), *rows]) + "\n"


def _mapping_text(count: int) -> str:
    original = [i * CELEBA_IMAGES // count for i in range(count)]
    rows = (f"{i:<8}{number:<10}{number + 1:06d}.jpg" for i, number in enumerate(original))
    return "\n".join(["idx     orig_idx  orig_file", *rows]) + "\n"
