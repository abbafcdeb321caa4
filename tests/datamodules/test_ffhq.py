import json

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.ffhq import FFHQ, FFHQFiles


def make_ffhq(root, numbers=range(4), folder="images1024x1024", size=32, label_mode="L"):
    rng = np.random.default_rng(0)
    (root / "label_maps").mkdir(parents=True)
    for number in numbers:
        path = root / folder / f"{number - number % 1000:05d}" / f"{number:05d}.png"
        path = root / f"{number:05d}.png" if folder == "." else path
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)).save(path)
        blocks = rng.integers(0, 19, (size // 4, size // 4), np.uint8)
        label_map = Image.fromarray(blocks.repeat(4, 0).repeat(4, 1))
        if label_mode == "P":
            label_map.putpalette(rng.integers(0, 256, 19 * 3, np.uint8).tobytes())
        label_map.save(root / "label_maps" / f"{number:05d}.png")
    if folder != ".":
        (root / folder / "LICENSE.txt").write_text("a license")
    return root


def opened(root, **settings):
    data = FFHQ(**{"root": root, "image_size": 32, "batch_size": 2} | settings)
    data.prepare_data()
    data.setup()
    return data


@pytest.mark.parametrize("folder", ["images1024x1024", "thumbnails128x128", "."])
@pytest.mark.parametrize("label_mode", ["L", "P"])
def test_all_layouts_and_label_modes(tmp_path, folder, label_mode):
    root = make_ffhq(tmp_path / "ffhq", range(998, 1003), folder, label_mode=label_mode)
    data = opened(root, conditions=("hair", "face_parts"))
    assert data.train.names[0] == "00998.png"
    assert data.test.names == ["01002.png"]
    batch = data.test.batch([0])
    expected = np.asarray(Image.open(root / "label_maps" / "01002.png"))
    assert np.array_equal(batch["label_map"][0].numpy(), expected)
    assert torch.equal(batch["conditions"]["hair"][0, 0] > 0, torch.from_numpy(expected == 13))


def test_rendered_faces_have_the_official_split(ffhq_root):
    data = opened(ffhq_root, split="official", conditions=("skin", "sketch"))
    assert (len(data.train), len(data.test)) == (35, 5)
    assert data.test.names[0] == "00035.png"


def test_without_label_maps_images_load_and_conditions_do_not(tmp_path):
    root = make_ffhq(tmp_path / "ffhq")
    for path in (root / "label_maps").iterdir():
        path.unlink()
    (root / "label_maps").rmdir()
    assert "label_map" not in opened(root, conditions=("sketch",)).test.batch([0])
    with pytest.raises(
        FileNotFoundError, match="(?s)condition skin needs label maps; looked for label_maps there.*layout"
    ):
        FFHQ(root=root, image_size=32, batch_size=1, conditions=("skin",)).prepare_data()
    with pytest.raises(FileNotFoundError, match="needs their files; this data set has none"):
        FFHQ(root=root, image_size=32, batch_size=1, captions="celeba-dialog").prepare_data()


def test_half_downloaded_sets_are_counted(tmp_path):
    root = make_ffhq(tmp_path / "ffhq", range(5))
    (root / "label_maps" / "00003.png").unlink()
    with pytest.raises(FileNotFoundError, match="found label maps of 4 of 5 images, none for 00003.png"):
        FFHQFiles(root)
    (root / "images1024x1024" / "00000" / "00001.png").unlink()
    with pytest.raises(FileNotFoundError, match="found 4 images where the numbers 0 to 4 make 5; missing 1"):
        FFHQFiles(root)
    with pytest.raises(FileNotFoundError, match=r"(?s)no such folder.*images1024x1024"):
        FFHQFiles(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        (Image.fromarray(np.full((32, 32), 19, np.uint8)), "holds class 19, expected 0 to 18"),
        (Image.new("RGB", (32, 32)), "has mode RGB, expected an index image"),
        (Image.new("L", (16, 16)), "16 pixels wide, but the first of the label maps has 32"),
        (Image.new("L", (32, 16)), "is 32x16 pixels, expected a square"),
    ],
)
def test_bad_label_maps_are_errors(tmp_path, label_map, message):
    root = make_ffhq(tmp_path / "ffhq")
    label_map.save(root / "label_maps" / "00002.png")
    with pytest.raises(ValueError, match=f"00002.png.*{message}"):
        FFHQ(root=root, image_size=32, batch_size=1).prepare_data()


def test_an_unreadable_image_is_named(tmp_path):
    root = make_ffhq(tmp_path / "ffhq")
    path = root / "images1024x1024" / "00000" / "00002.png"
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ValueError, match="00002.png: cannot be read as an image"):
        FFHQ(root=root, image_size=32, batch_size=1).prepare_data()


def test_an_incomplete_json_is_an_error(tmp_path):
    root = make_ffhq(tmp_path / "ffhq")
    (root / "ffhq-dataset-v2.json").write_text(json.dumps({"0": {"category": "training"}}))
    with pytest.raises(ValueError, match="tells about 1 of 4 images, not about 1, 2, 3"):
        FFHQ(root=root, image_size=32, batch_size=1, split="official").prepare_data()
