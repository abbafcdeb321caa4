import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from tiny_sets import opened, write_image

from datamodules.batches.steps import Draw
from datamodules.digits import Digits
from datamodules.mini.image_layouts import write_digits, write_night2day
from datamodules.night2day import Night2Day


def make_pairs(root, parts=(("train", 12), ("val", 3)), size=(64, 32)):
    for part, count in parts:
        for i in range(1, count + 1):
            write_image(root / part / f"{i}.png", size, seed=i)
    return root


@pytest.mark.parametrize("test", ["val", "test"])
def test_the_left_half_is_the_night_the_right_half_the_day(tmp_path, test):
    data = opened(Night2Day, make_pairs(tmp_path, (("train", 12), (test, 3))), conditions=("photo",))
    assert (len(data.train), len(data.test)) == (12, 3)
    pair = np.asarray(Image.open(tmp_path / test / "2.png")).transpose(2, 0, 1)
    batch = data.test.batch([1])
    assert np.array_equal(batch["conditions"]["photo"][0].numpy(), pair[:, :, :32])
    assert np.array_equal(batch["image"][0].numpy(), pair[:, :, 32:])
    tenth = np.asarray(Image.open(tmp_path / "train" / "10.png")).transpose(2, 0, 1)
    assert np.array_equal(data.train.batch([9])["image"][0].numpy(), tenth[:, :, 32:])  # 10 comes after 9
    flipped = data.test.draw([Draw(1, True, 0)])
    assert torch.equal(flipped["image"], batch["image"].flip(-1))
    assert torch.equal(flipped["conditions"]["photo"], batch["conditions"]["photo"].flip(-1))


def test_pairs_that_are_wrong(tmp_path):
    root = make_pairs(tmp_path / "night2day")

    def prepare(size=32):
        Night2Day(root=root, image_size=size, batch_size=1).prepare_data()

    with pytest.raises(ValueError, match="32 pixels wide, fewer than the 48 asked for"):
        prepare(48)
    write_image(root / "val" / "3.png", (32, 32))
    with pytest.raises(ValueError, match="3.png: is 32x32 pixels, expected two squares side by side"):
        prepare()
    for path in (root / "val").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"found 12 pairs in train and 0 in val; both need"):
        prepare()
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        Night2Day(root=tmp_path / "nowhere", image_size=32, batch_size=1).prepare_data()


def test_rendered_nights_are_dark_and_show_the_same_street(tmp_path):
    write_night2day(tmp_path / "n2d", count=8, image_size=32)
    data = opened(Night2Day, tmp_path / "n2d", conditions=("photo",))
    assert (len(data.train), len(data.test)) == (8, 2)
    batch = data.train.batch(range(8))
    night, day = batch["conditions"]["photo"].float(), batch["image"].float()
    assert (night.mean((1, 2, 3)) < 0.6 * day.mean((1, 2, 3))).all()
    same, other = (
        np.mean([np.corrcoef(n.flatten(), d.flatten())[0, 1] for n, d in zip(night, days)])
        for days in (day, day.roll(1, 0))
    )
    assert same > other + 0.15


def test_digits_are_scikit_learns(tmp_path):
    write_digits(tmp_path / "digits")
    data = opened(Digits, tmp_path / "digits", conditions=("label",), image_size=8)
    assert (len(data.train), len(data.test)) == (1500, 297)
    original = load_digits()
    batch = data.train.batch(range(1500))
    pixels = np.rint(original.images[:1500] * 255 / 16).astype(np.uint8)
    assert np.array_equal(batch["image"][:, 0].numpy(), pixels)
    assert torch.equal(batch["image"][:, 0], batch["image"][:, 2])
    assert batch["conditions"]["label"].tolist() == original.target[:1500].tolist()
    assert data.test.batch(range(297))["conditions"]["label"].tolist() == original.target[1500:].tolist()


def test_digits_are_enlarged_bilinearly_and_written_once(tmp_path):
    write_digits(tmp_path / "digits")
    time = (tmp_path / "digits").stat().st_mtime_ns
    write_digits(tmp_path / "digits")
    assert (tmp_path / "digits").stat().st_mtime_ns == time
    data = opened(Digits, tmp_path / "digits", image_size=16)
    path = tmp_path / "digits" / "train" / "0" / "0000.png"
    large = np.asarray(Image.open(path).resize((16, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(data.train.batch([0])["image"][0, 1].numpy(), large)
    write_image(path, (9, 8))
    with pytest.raises(ValueError, match="0000.png: is 9x8 pixels, expected 8x8"):
        opened(Digits, tmp_path / "digits", image_size=32)
