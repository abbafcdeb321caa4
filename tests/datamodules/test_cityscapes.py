import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sets import opened

from datamodules.batches.steps import Draw
from datamodules.cityscapes import NAMES, PALETTE, TRAIN_ID_OF, Cityscapes, label_picture

# id -> train id as the data set's publishers list them; every other id is not judged
BY_THE_BOOK = dict(zip((7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33), range(19)))


def make_frames(root, train=3, val=2, size=(64, 32)):
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val), ("test", 1)):
        for i in range(count):
            photo, label = (
                root / top / part / "aachen" / f"aachen_{i:06d}_000019" for top in ("leftImg8bit", "gtFine")
            )
            for folder in (photo.parent, label.parent):
                folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(f"{photo}_leftImg8bit.png")
            if part != "test":
                ids = rng.integers(0, 34, (size[1] // 4, size[0] // 4)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
                Image.fromarray(ids).save(f"{label}_gtFine_labelIds.png")
                Image.fromarray(ids.astype(np.uint16)).save(f"{label}_gtFine_instanceIds.png")
    return root


def test_label_ids_become_train_ids():
    for label_id in range(256):
        assert TRAIN_ID_OF[label_id] == BY_THE_BOOK.get(label_id, 255)


def test_official_colors_come_back_by_the_nearest_color():
    assert len({tuple(color) for color in PALETTE.tolist()}) == 19
    bus, train, pole, fence = (PALETTE[NAMES.index(name)].astype(int) for name in ("bus", "train", "pole", "fence"))
    assert np.linalg.norm(bus - train) == 20  # the two closest
    assert np.linalg.norm(pole - fence) == 37
    label_map = np.arange(19, dtype=np.uint8).reshape(1, 1, 19).repeat(2, 1)
    picture = label_picture(label_map)
    assert picture.shape == (1, 3, 2, 19)
    assert picture.dtype == np.uint8
    distance = np.linalg.norm(picture[:, None].astype(float) - PALETTE[None, :, :, None, None].astype(float), axis=2)
    assert np.array_equal(distance.argmin(1), label_map)
    assert (label_picture(np.full((1, 2, 2), 255, np.uint8)) == 0).all()


def test_frames_are_squeezed_photographs_averaged_labels_nearest(tmp_path):
    data = opened(Cityscapes, make_frames(tmp_path / "cityscapes"), image_size=16, conditions=("photo",))
    assert (len(data.train), len(data.test)) == (3, 2)
    batch = data.train.batch([1])
    root = data.root
    photo = np.asarray(Image.open(root / "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png"))
    means = photo.reshape(16, 2, 16, 4, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(batch["conditions"]["photo"][0].numpy() - means).max() <= 1
    ids = np.asarray(Image.open(root / "gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png"))
    nearest = TRAIN_ID_OF[np.asarray(Image.fromarray(ids).resize((16, 16), Image.Resampling.NEAREST))]
    assert np.array_equal(batch["label_map"][0].numpy(), nearest)
    assert np.array_equal(batch["image"].numpy(), label_picture(nearest[None]))
    assert {"index", "image", "label_map", "conditions"} == set(batch)


def test_both_directions(streets_root):
    to_labels = opened(Cityscapes, streets_root, conditions=("photo",)).test.batch([0, 2])
    to_photo = opened(Cityscapes, streets_root, conditions=("label_picture",), direction="labels_to_photo").test.batch(
        [0, 2]
    )
    assert torch.equal(to_labels["image"], to_photo["conditions"]["label_picture"])
    assert torch.equal(to_photo["image"], to_labels["conditions"]["photo"])
    assert torch.equal(to_photo["label_map"], to_labels["label_map"])
    assert opened(Cityscapes, streets_root).test.batch([0])["conditions"] == {}
    with pytest.raises(ValueError, match="photo_to_labels: label_picture is the image itself; its condition is photo"):
        Cityscapes(root=streets_root, image_size=32, batch_size=1, conditions=("label_picture",))


def test_a_flip_mirrors_photograph_and_labels(streets_root):
    data = opened(Cityscapes, streets_root, conditions=("photo",))
    plain, flipped = (data.train.draw([Draw(i, flip, 0) for i in range(4)]) for flip in (False, True))
    for key in ("image", "label_map"):
        assert torch.equal(flipped[key], plain[key].flip(-1))
    assert torch.equal(flipped["conditions"]["photo"], plain["conditions"]["photo"].flip(-1))


def test_real_frames(real_frames, tmp_path):
    data = opened(Cityscapes, real_frames, image_size=64, conditions=("photo",), cache=tmp_path)
    assert (len(data.train), len(data.test)) == (6, 2)
    batch = data.train.batch(range(6))
    share = torch.bincount(batch["label_map"].flatten().long(), minlength=256) / batch["label_map"].numel()
    assert share[NAMES.index("road")] > 0.2
    assert 0.02 < share[255] < 0.3  # the bonnet and what is beyond the list
    assert share[19:255].sum() == 0
    sky, road = ((batch["label_map"] == NAMES.index(name)).float().mean((0, 2)) for name in ("sky", "road"))
    rows = torch.arange(64)
    assert (sky * rows).sum() / sky.sum() < 25 < 40 < (road * rows).sum() / road.sum()
    full = data.files().label_map(0)
    assert full.shape == (1024, 2048)
    assert set(np.unique(full).tolist()) <= {*range(19), 255}


def test_frames_without_counterpart_are_counted(tmp_path):
    root = make_frames(tmp_path / "cityscapes")
    (root / "gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(
        FileNotFoundError,
        match="found 3 photographs and 2 label maps of 'train'; without .*: train/aachen/aachen_000001_000019",
    ):
        Cityscapes(root=root, image_size=16, batch_size=1).prepare_data()
    with pytest.raises(FileNotFoundError, match=r"(?s)no frames of 'train' found.*gtFine/\{train,val\}"):
        Cityscapes(root=root / "gtFine", image_size=16, batch_size=1).prepare_data()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (Image.new("L", (32, 32), 7), "is 32x32 pixels, but its photograph is 64x32"),
        (Image.new("L", (64, 32), 77), "holds the label ids 77, expected 0 to 33"),
        (Image.new("RGB", (64, 32)), "has mode RGB, expected label ids"),
    ],
)
def test_bad_label_maps_are_errors(tmp_path, label, message):
    root = make_frames(tmp_path / "cityscapes")
    label.save(root / "gtFine/val/aachen/aachen_000001_000019_gtFine_labelIds.png")
    with pytest.raises(ValueError, match=f"aachen_000001_000019_gtFine_labelIds.png: {message}"):
        Cityscapes(root=root, image_size=16, batch_size=1).prepare_data()


def test_damaged_photographs_are_named_and_nothing_grows(tmp_path):
    root = make_frames(tmp_path / "cityscapes")
    with pytest.raises(ValueError, match="32 pixels wide, fewer than the 64 asked for"):
        Cityscapes(root=root, image_size=64, batch_size=1).prepare_data()
    path = root / "leftImg8bit/val/aachen/aachen_000000_000019_leftImg8bit.png"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="aachen_000000_000019_leftImg8bit.png: cannot be read as an image"):
        Cityscapes(root=root, image_size=16, batch_size=1).prepare_data()
