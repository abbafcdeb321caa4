"""Writes rendered faces as CelebAMask-HQ and FFHQ lie on disk, so that the same data modules read them."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datamodules.celebamask_hq_files import ATTRIBUTE_FILE, FACES_PER_FOLDER, MAPPING_FILE, MASK_FOLDER
from datamodules.decoding import Update, progress_bar
from datamodules.face_classes import ATTRIBUTES, FACE_CLASSES
from datamodules.ffhq_files import JSON_FILE, LABEL_FOLDER
from datamodules.locking import locked
from datamodules.mini import people as who
from datamodules.mini.faces import render

RENDERER = 1  # version of the pictures: another one is another data set
CELEBA_IMAGES = 202_599  # of CelebA; original numbers are spread over them, so that the official split has all parts
MARKER = "mini.json"
CHUNK_PIXELS = 2**17  # of one rendered chunk; about what stays in the processor's cache


def write_celebamask_hq(root: Path, *, count: int, image_size: int, seed: int = 0) -> None:
    """Write ``count`` faces of domain A in the layout of CelebAMask-HQ with captions, unless they are there.

    Args:
        root: folder to create.
        count: faces.
        image_size: pixels, of images and masks.
        seed: of the faces; face i depends on (seed, i) alone.

    Raises:
        ValueError: where ``root`` holds something else.
    """
    _write_once(root, {"domain": "A", "count": count, "image_size": image_size, "seed": seed}, _write_domain_a)


def write_ffhq(root: Path, *, count: int, image_size: int, seed: int = 0) -> None:
    """Write ``count`` faces of domain B in the layout of FFHQ with label maps, unless they are there; as above."""
    _write_once(root, {"domain": "B", "count": count, "image_size": image_size, "seed": seed}, _write_domain_b)


def _write_once(root: Path, what: dict, write: Callable[[Path, int, int, int, Update], None]) -> None:
    """Let ``write`` fill a temporary folder and rename it; one process at a time."""
    what = what | {"renderer": RENDERER}
    root.parent.mkdir(parents=True, exist_ok=True)
    with locked(root.with_name(f".{root.name}.lock")):
        if root.exists():
            _require_same(root, what)
            return
        temporary = root.with_name(f".{root.name}.{os.getpid()}")
        try:
            temporary.mkdir()
            with progress_bar(f"rendering {root.name}", what["count"]) as advance:
                write(temporary, what["count"], what["image_size"], what["seed"], advance)
            (temporary / MARKER).write_text(json.dumps(what) + "\n")
            temporary.rename(root)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _require_same(root: Path, what: dict) -> None:
    marker = root / MARKER
    found = json.loads(marker.read_text()) if marker.is_file() else None
    if found != what:
        there = "no rendered faces" if found is None else f"rendered faces with {found}"
        raise ValueError(f"{root}: holds {there}, expected {what}; give another folder, or delete this one.")


def _chunks(seed: int, domain: who.Domain, count: int, size: int) -> Iterator[tuple[np.ndarray, who.People]]:
    length = max(1, CHUNK_PIXELS // size**2)
    for first in range(0, count, length):
        numbers = np.arange(first, min(first + length, count))
        yield numbers, who.invent(seed, domain, numbers)


def _write_domain_a(root: Path, count: int, size: int, seed: int, advance: Update) -> None:
    images, masks = root / "CelebA-HQ-img", root / MASK_FOLDER
    images.mkdir()
    for folder in range(-(-count // FACES_PER_FOLDER)):
        (masks / str(folder)).mkdir(parents=True)
    attributes: list[np.ndarray] = []
    captions: dict[str, dict[str, object]] = {}
    for numbers, people in _chunks(seed, "A", count, size):
        pictures, label_maps = render(people, size)
        for number, picture, label_map in zip(numbers.tolist(), pictures, label_maps):
            Image.fromarray(_hwc(picture)).save(images / f"{number}.jpg", quality=100, subsampling=0)
            _write_parts(masks / str(number // FACES_PER_FOLDER), number, label_map)
        attributes.append(who.attributes(people))
        captions |= {f"{number}.jpg": caption for number, caption in zip(numbers.tolist(), who.captions(people))}
        advance(len(numbers))
    (root / ATTRIBUTE_FILE).write_text(_attribute_text(np.concatenate(attributes)))
    (root / MAPPING_FILE).write_text(_mapping_text(count))
    (root / "captions_hq.json").write_text(json.dumps(captions))


def _write_domain_b(root: Path, count: int, size: int, seed: int, advance: Update) -> None:
    labels = root / LABEL_FOLDER
    labels.mkdir()
    for first in range(0, count, 1000):
        (root / "images1024x1024" / f"{first:05d}").mkdir(parents=True)
    for numbers, people in _chunks(seed, "B", count, size):
        pictures, label_maps = render(people, size)
        for number, picture, label_map in zip(numbers.tolist(), pictures, label_maps):
            folder = root / "images1024x1024" / f"{number - number % 1000:05d}"
            _write_png(folder / f"{number:05d}.png", _hwc(picture)[..., ::-1])
            _write_png(labels / f"{number:05d}.png", label_map)
        advance(len(numbers))
    training = count - max(1, count // 7)  # FFHQ: 60,000 of 70,000
    category = ["training" if number < training else "validation" for number in range(count)]
    (root / JSON_FILE).write_text(json.dumps({str(i): {"category": name} for i, name in enumerate(category)}))


def _write_parts(folder: Path, number: int, label_map: np.ndarray) -> None:
    for label in np.flatnonzero(np.bincount(label_map.ravel())).tolist():
        if label:
            mask = (label_map == label).astype(np.uint8) * 255
            _write_png(folder / f"{number:05d}_{FACE_CLASSES[label]}.png", mask)


def _write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 [H, W] or BGR [H, W, 3], lightly compressed."""
    written, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert written
    path.write_bytes(data.tobytes())


def _hwc(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def _attribute_text(attributes: np.ndarray) -> str:
    rows = (f"{i}.jpg  " + " ".join("1" if value else "-1" for value in row) for i, row in enumerate(attributes))
    return "\n".join([str(len(attributes)), " ".join(ATTRIBUTES), *rows]) + "\n"


def _mapping_text(count: int) -> str:
    original = [i * CELEBA_IMAGES // count for i in range(count)]
    rows = (f"{i:<8}{number:<10}{number + 1:06d}.jpg" for i, number in enumerate(original))
    return "\n".join(["idx     orig_idx  orig_file", *rows]) + "\n"
