"""Label maps are reduced from the size of their files in one step: mask tokens are pixels 16 i + 8 of the official 512 map."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sets import opened

from datamodules.batches.steps import Draw
from datamodules.celebamask_hq import CelebAMaskHQ
from datamodules.config import DataConfig
from datamodules.faces.classes import FACE_CLASSES, flip_label_map
from datamodules.ffhq import FFHQ
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.mask_accuracy import mask_accuracy
from lightning_mmdiff.networks.tokens import MaskTokensConfig

GOLDEN = json.loads((Path(__file__).parent / "golden" / "mask_tokens.json").read_text())
"""Written by lines 121 to 132 of Collaborative Diffusion's generate.py (commit b1ea7f8) on PNGs of mode P: the class of each
cell of ``drawn_mask(0)`` and ``drawn_mask(1)``, row by row, 0 to i; and SHA-256 of the [19, 1024] tokens of faces 0 to 3."""
SIDE, SIZE, CELLS = 512, 256, 32


def drawn_mask(k: int) -> np.ndarray:
    """Ellipses and boxes whose edges lie at all positions modulo 16, drawn in integers: uint8 [512, 512]."""
    y, x = np.mgrid[:SIDE, :SIDE]
    label_map = np.zeros((SIDE, SIDE), np.uint8)
    for label in range(1, 19):
        top, left = (61 * label + 37 * k) % 389, (83 * label + 59 * k) % 401
        height, width = 23 + 17 * label % 90, 19 + 29 * label % 110
        box = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
        from_middle = (2 * (y - top) - height) ** 2 * width**2 + (2 * (x - left) - width) ** 2 * height**2
        label_map[from_middle < (height * width) ** 2 if label % 3 else box] = label
    return label_map


def position_map(k: int, side: int = SIDE) -> np.ndarray:
    """The class of every pixel tells its row and column modulo the number of classes: uint8 [side, side]."""
    row, column = np.mgrid[:side, :side]
    return ((row + 7 * column + k) % len(FACE_CLASSES)).astype(np.uint8)


def write_faces(root: Path, label_maps: list[np.ndarray], size: int = SIDE) -> Path:
    """Write gray faces with these label maps in the layout of CelebAMask-HQ."""
    masks = root / "CelebAMask-HQ-mask-anno" / "0"
    masks.mkdir(parents=True)
    (root / "CelebA-HQ-img").mkdir()
    for number, label_map in enumerate(label_maps):
        Image.new("RGB", (size, size), (99, 99, 99)).save(root / "CelebA-HQ-img" / f"{number}.jpg")
        for label in set(np.unique(label_map).tolist()) - {0}:
            part = Image.fromarray(255 * (label_map == label).astype(np.uint8))
            part.save(masks / f"{number:05d}_{FACE_CLASSES[label]}.png")
    return root


def one_hot(mask: torch.Tensor) -> torch.Tensor:
    """What the linear layer of the mask's tokens reads, [B, 19, 1024]; checked through an identity."""
    encoder = MaskTokensConfig(width=CELLS**2, side=CELLS).build()
    encoder.linear.weight.data.copy_(torch.eye(CELLS**2))
    encoder.linear.bias.data.zero_()
    return encoder(mask).detach()


def test_tokens_of_a_training_at_256_pixels_are_those_of_the_released_code(tmp_path) -> None:
    label_maps = [drawn_mask(0), drawn_mask(1)]
    data = opened(
        CelebAMaskHQ, write_faces(tmp_path / "f", label_maps), image_size=SIZE, conditions=("mask",), label_size=CELLS
    )
    batches = [data.train.batch([0]), data.test.batch([0])]
    for batch, label_map, golden in zip(batches, label_maps, GOLDEN["drawn"]):
        assert batch["label_map"].shape == (1, SIZE, SIZE)
        tokens = one_hot(batch["conditions"]["mask"])
        assert torch.equal(tokens.sum(1), torch.ones(1, CELLS**2))
        assert tokens.argmax(1)[0].tolist() == [int(cell, 19) for cell in golden]
        twice = label_map[1::2, 1::2][4::8, 4::8]  # reduced to 256, then read: pixels 16 i + 9, as before
        assert (twice.ravel() != tokens.argmax(1)[0].numpy()).sum() > 5


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_tokens_of_official_masks_are_those_of_the_released_code(number: int, real_faces, tmp_path) -> None:
    data = opened(
        CelebAMaskHQ, real_faces, image_size=64, conditions=("mask",), label_size=CELLS, cache=tmp_path, split="paper"
    )
    tokens = one_hot(data.train.batch([number])["conditions"]["mask"])
    digest = hashlib.sha256(tokens[0].to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest == GOLDEN["official sha256"][str(number)]


def test_every_size_reads_the_original_pixels(tmp_path) -> None:
    label_maps = [position_map(k) for k in range(3)]
    root = write_faces(tmp_path / "f", label_maps)
    data = opened(CelebAMaskHQ, root, image_size=SIZE, conditions=("mask", "mask_picture"), label_size=CELLS)
    whole = np.stack(label_maps[:2])  # the third is the test image
    assert np.array_equal(data.train.original_label_maps([0, 1]), whole)
    assert np.array_equal(data.test.original_label_maps([0]), label_maps[2][None])
    plain, flipped = (data.train.draw([Draw(i, flip, 0) for i in range(2)]) for flip in (False, True))
    cells, pixels = whole[:, 8::16, 8::16], whole[:, 1::2, 1::2]  # 16 i + 8; 2 j + 1, as Pillow
    assert np.array_equal(plain["conditions"]["mask"].argmax(1).numpy(), cells)
    assert np.array_equal(plain["label_map"].numpy(), pixels)
    assert plain["conditions"]["mask_picture"].shape[2:] == (SIZE, SIZE)
    assert np.array_equal(flipped["conditions"]["mask"].argmax(1).numpy(), flip_label_map(cells))
    assert np.array_equal(flipped["label_map"].numpy(), flip_label_map(pixels))


@pytest.mark.parametrize("size", [20, 48])
def test_sizes_that_do_not_divide_read_the_pixel_below_each_center(size: int, tmp_path) -> None:
    label_maps = [position_map(k, 96) for k in range(2)]
    root = write_faces(tmp_path / "f", label_maps, size=96)
    data = opened(CelebAMaskHQ, root, image_size=32, conditions=("mask", "hair"), label_size=size)
    pixels = (2 * np.arange(size) + 1) * 96 // (2 * size)  # of 96; Pillow's own steps lose exact ties by rounding
    expected = label_maps[0][np.ix_(pixels, pixels)]
    conditions = data.train.batch([0])["conditions"]
    assert np.array_equal(conditions["mask"][0].argmax(0).numpy(), expected)
    assert np.array_equal(conditions["hair"][0, 0].numpy() == 255, expected == FACE_CLASSES.index("hair"))


def test_mask_accuracy_at_512_pixels_is_of_the_map_of_512_pixels(tmp_path) -> None:
    """A perfect parser scores 1; against the map of a 256-pixel training it scored less."""
    root = write_faces(tmp_path / "f", [drawn_mask(0), drawn_mask(1)])
    data = opened(CelebAMaskHQ, root, image_size=SIZE)
    perfect, size = drawn_mask(1)[None], (SIDE, SIDE)
    assert mask_accuracy(perfect, data.test.original_label_maps([0]), size=size).tolist() == [1.0]
    assert mask_accuracy(perfect, data.test.batch([0])["label_map"].numpy(), size=size)[0] < 0.995


def test_label_maps_of_the_images_size_are_kept_once(ffhq_root, tmp_path) -> None:
    data = opened(FFHQ, ffhq_root, conditions=("mask",), cache=tmp_path)
    small = opened(FFHQ, ffhq_root, image_size=16, conditions=("mask",), label_size=32, cache=tmp_path)
    assert not list(data.folder.glob("*.zlib"))
    assert data.train.packed.original_label_maps is data.train.packed.label_maps
    assert torch.equal(small.train.batch([3])["conditions"]["mask"], data.train.batch([3])["conditions"]["mask"])
    assert np.array_equal(small.test.original_label_maps([1, 0]), data.test.batch([1, 0])["label_map"].numpy())


def test_masks_of_another_size_than_the_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mask is \[1, 19, 256, 256\]; expected \[B, 19, 32, 32\]: .* label_size=32"):
        MaskTokensConfig(width=1).build()(torch.zeros(1, 19, SIZE, SIZE, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_size": 0}, "label_size is 0; expected at least 1 pixel"),
        (
            {"conditions": ("sketch",)},
            r"label_size=32 is the size of conditions made of classes .*\['sketch'\]: leave it",
        ),
        ({"dataset": "celeba_hq", "conditions": ("sketch",)}, "celeba_hq takes no label_size"),
    ],
)
def test_a_label_size_without_labels_is_refused(change: dict, message: str) -> None:
    right = {"dataset": "celebamask_hq", "image_size": SIZE, "conditions": ("mask",), "label_size": CELLS}
    assert DataConfig(**right).size_of("mask") == CELLS
    assert DataConfig(**right).size_of("sketch") == SIZE
    with pytest.raises(UserError, match=message):
        DataConfig(**{**right, **change})
