"""Small face data sets written by hand, and the official mask merge written out."""

import numpy as np
from PIL import Image

from datamodules.faces.classes import ATTRIBUTES, FACE_CLASSES


def make_celeba(root, count=4, size=32, mask_size=16, parts=("skin", "hair")):
    """Write a small data set by hand: noise images, one white box per part."""
    rng = np.random.default_rng(0)
    (root / "CelebA-HQ-img").mkdir(parents=True)
    (root / "CelebAMask-HQ-mask-anno" / "0").mkdir(parents=True)
    for i in range(count):
        image = rng.integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(image).save(root / "CelebA-HQ-img" / f"{i}.jpg", quality=95)
        for part in parts:
            mask = np.zeros((mask_size, mask_size), np.uint8)
            top, left = rng.integers(0, mask_size // 2, 2)
            mask[top : top + mask_size // 2, left : left + mask_size // 2] = 255
            Image.fromarray(mask).save(root / "CelebAMask-HQ-mask-anno" / "0" / f"{i:05d}_{part}.png")
    return root


def write_attributes(root, count):
    rows = [f"{i}.jpg  " + " ".join("1" if (i + j) % 3 == 0 else "-1" for j in range(40)) for i in range(count)]
    text = "\n".join([str(count), " ".join(ATTRIBUTES), *rows]) + "\n"
    (root / "CelebAMask-HQ-attribute-anno.txt").write_text(text)


def merge_by_the_book(root, number):
    """The official merge, written out: for each class in order, for each pixel, later wins."""
    merged = None
    for label, part in enumerate(FACE_CLASSES):
        path = root / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}_{part}.png"
        if label and path.exists():
            mask = np.asarray(Image.open(path).convert("L"))
            merged = np.zeros(mask.shape, np.uint8) if merged is None else merged
            for row, column in zip(*np.nonzero(mask)):
                merged[row, column] = label
    return merged


def write_image(path, size=(32, 32), seed=0):
    """Write one image of noise; a JPEG or PNG by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)


def opened(cls, root, **settings):
    """Return the prepared data module."""
    data = cls(**{"root": root, "image_size": 32, "batch_size": 2} | settings)
    data.prepare_data()
    data.setup()
    return data
