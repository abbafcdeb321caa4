import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from tiny_sets import opened, write_image

from datamodules import imagenet
from datamodules.batches.steps import Draw
from datamodules.imagenet import ImageNet, center_crop
from datamodules.images.downsampled_imagenet import DownsampledImageNet
from datamodules.mini import objects

WNIDS = ("n01440764", "n01443537", "n02119789")


def make_folders(root, train=(3, 2, 4), val=2, size=(40, 32)):
    for wnid, count in zip(WNIDS, train):
        for i in range(count):
            write_image(root / "train" / wnid / f"{wnid}_{i * 7}.JPEG", size, seed=i)
    for number in range(val * len(WNIDS)):
        name = f"ILSVRC2012_val_{number + 1:08d}.JPEG"
        write_image(root / "val" / WNIDS[number % len(WNIDS)] / name, size, seed=number)
    return root


def flatten_val(root):
    """Move the validation images into one folder; return (name, wnid) of each."""
    pairs = []
    for path in sorted((root / "val").glob("*/*.JPEG"), key=lambda path: path.name):
        pairs.append((path.name, path.parent.name))
        path.rename(root / "val" / path.name)
    for folder in list((root / "val").glob("*/")):
        folder.rmdir()
    return pairs


def adm_crop_by_the_book(pixels, size):
    """ADM's crop written out on arrays: means of 2 x 2 pixels, bicubic, the middle."""
    while min(pixels.shape[:2]) >= 2 * size:
        even = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2].astype(float)
        pixels = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
        pixels = np.floor(pixels + 0.5).astype(np.uint8)
    short = min(pixels.shape[:2])
    shape = tuple(round(side * size / short) for side in pixels.shape[1::-1])
    pixels = np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.BICUBIC))
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


@pytest.mark.parametrize(("width", "height"), [(200, 144), (144, 200), (64, 64), (70, 32), (33, 40), (20, 24)])
def test_the_crop_is_adms(width, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    cropped = np.asarray(center_crop(Image.fromarray(pixels), 32)).astype(int)
    assert cropped.shape == (32, 32, 3)
    assert np.abs(cropped - adm_crop_by_the_book(pixels, 32)).max() <= 2  # Pillow rounds after each pass


def test_folders_are_labeled_by_sorted_wnids(tmp_path):
    data = opened(ImageNet, make_folders(tmp_path / "imagenet"), conditions=("label",))
    batch = data.train.batch(range(9))
    assert (len(data.train), len(data.test)) == (9, 6)
    assert batch["conditions"]["label"].dtype == torch.int64
    assert batch["conditions"]["label"].bincount().tolist() == [3, 2, 4]
    assert batch["conditions"]["label"][:3].tolist() == [0, 1, 2]  # classes in turn
    assert data.test.batch(range(6))["conditions"]["label"].tolist() == [0, 1, 2] * 2
    for row, (wnid, path) in enumerate(data.files().items[:9]):
        expected = np.asarray(center_crop(Image.open(path), 32)).transpose(2, 0, 1)
        assert np.array_equal(batch["image"][row].numpy(), expected)
        assert batch["conditions"]["label"][row] == WNIDS.index(wnid)
    assert data.train.packed.classes == list(WNIDS)
    assert opened(ImageNet, data.root).test.batch([0])["conditions"] == {}


def write_pairs(root, pairs):
    (root / "val_labels.txt").write_text("".join(f"{name} {wnid}\n" for name, wnid in pairs))


def write_kaggle(root, pairs):
    rows = [f"{name.removesuffix('.JPEG')},{wnid} 85 1 499 272 {wnid} 3 4 5 6" for name, wnid in reversed(pairs)]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]) + "\n")


def write_devkit(root, pairs):
    order = list(reversed(WNIDS))  # the kit's own order
    synsets = np.zeros(len(order), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")])
    for i, wnid in enumerate(order):
        synsets[i] = (i + 1, wnid, "a thing")
    folder = root / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True)
    savemat(folder / "meta.mat", {"synsets": synsets})
    truth = "".join(f"{order.index(wnid) + 1}\n" for _, wnid in pairs)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)


@pytest.mark.parametrize("write", [write_pairs, write_kaggle, write_devkit])
def test_validation_images_in_one_folder(tmp_path, write):
    root = make_folders(tmp_path / "imagenet")
    foldered = opened(ImageNet, root, conditions=("label",)).test.batch(range(6))
    pairs = flatten_val(root)
    with pytest.raises(
        FileNotFoundError, match="no file tells their classes. Add val_labels.txt, LOC_val_solution.csv or"
    ):
        ImageNet(root=root, image_size=32, batch_size=1).prepare_data()
    write(root, pairs)
    flat = opened(ImageNet, root, conditions=("label",)).test.batch(range(6))
    assert torch.equal(flat["conditions"]["label"], foldered["conditions"]["label"])
    assert torch.equal(flat["image"], foldered["image"])
    if write is not write_devkit:
        write(root, pairs[:-1])
        with pytest.raises(ValueError, match="tells no class for ILSVRC2012_val_00000006 of 6 images"):
            ImageNet(root=root, image_size=32, batch_size=1).prepare_data()
    (root / "val" / "ILSVRC2012_val_00000003.JPEG").unlink()
    with pytest.raises(FileNotFoundError, match="found 5 images where the numbers 1 to 6 make 6; missing 3"):
        ImageNet(root=root, image_size=32, batch_size=1).prepare_data()


def test_incomplete_folders_are_errors(tmp_path, monkeypatch):
    root = make_folders(tmp_path / "imagenet")

    def prepare():
        ImageNet(root=root, image_size=32, batch_size=1).prepare_data()

    monkeypatch.setattr(imagenet, "OFFICIAL_CLASSES", 3)
    with pytest.raises(
        FileNotFoundError, match="found 9 images to train and 6 to validate, expected 1,281,167 and 50,000"
    ):
        prepare()
    monkeypatch.undo()
    for path in (root / "train" / WNIDS[1]).iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="found images of 2 of 3 classes, none of n01443537. The download"):
        prepare()
    (root / "train" / WNIDS[1]).rmdir()
    with pytest.raises(
        FileNotFoundError, match="found 2 classes in train and 3 in val; only in one of them: n01443537"
    ):
        prepare()
    with pytest.raises(FileNotFoundError, match=r"(?s)no class folders found.*train/\{n01440764"):
        ImageNet(root=root / "val", image_size=32, batch_size=1).prepare_data()
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        ImageNet(root=tmp_path / "nowhere", image_size=32, batch_size=1).prepare_data()


def test_a_damaged_image_is_named(tmp_path):
    root = make_folders(tmp_path / "imagenet")
    path = root / "val" / WNIDS[2] / "ILSVRC2012_val_00000003.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="ILSVRC2012_val_00000003.JPEG: cannot be read as an image"):
        ImageNet(root=root, image_size=32, batch_size=1).prepare_data()
    assert not (root / ".packed" / "32px").exists()


def test_one_small_image_grows_and_a_set_of_small_images_is_an_error(tmp_path):
    root = make_folders(tmp_path / "imagenet")
    write_image(root / "train" / WNIDS[0] / f"{WNIDS[0]}_99.JPEG", (20, 24))
    assert len(opened(ImageNet, root).train) == 10
    with pytest.raises(ValueError, match="16 of the first 16 images have fewer than the 64 pixels asked for"):
        ImageNet(root=root, image_size=64, batch_size=1).prepare_data()


def test_a_new_file_is_packed_anew(tmp_path):
    root = make_folders(tmp_path / "imagenet")
    before = json.loads((opened(ImageNet, root).folder / "index.json").read_text())["fingerprint"]
    write_image(root / "train" / WNIDS[0] / f"{WNIDS[0]}_99.JPEG")
    data = opened(ImageNet, root)
    assert len(data.train) == 10
    assert json.loads((data.folder / "index.json").read_text())["fingerprint"] != before


def test_a_flip_mirrors_the_image_and_keeps_label_and_caption(objects_root):
    data = opened(ImageNet, objects_root, conditions=("label", "caption"))
    plain, flipped = (data.train.draw([Draw(i, flip, 0) for i in range(6)]) for flip in (False, True))
    assert torch.equal(flipped["image"], plain["image"].flip(-1))
    assert torch.equal(flipped["conditions"]["label"], plain["conditions"]["label"])
    assert flipped["conditions"]["caption"] == plain["conditions"]["caption"]
    mixed = data.train.draw([Draw(0, True, 0), Draw(1, False, 0)])["image"]
    assert torch.equal(mixed, torch.stack([flipped["image"][0], plain["image"][1]]))


def test_captions_belong_to_their_images(objects_root, tmp_path):
    data = opened(ImageNet, objects_root, conditions=("label", "caption"))
    assert data.train.packed.classes == list(objects.NAMES)
    batch = data.test.batch(range(10))
    for label, caption in zip(batch["conditions"]["label"], batch["conditions"]["caption"]):
        assert f" {objects.NAMES[label]} on " in caption
    root = make_folders(tmp_path / "imagenet")
    with pytest.raises(FileNotFoundError, match="condition caption needs captions; looked for captions.json there"):
        ImageNet(root=root, image_size=32, batch_size=1, conditions=("caption",)).prepare_data()
    (root / "captions.json").write_text("{}")
    with pytest.raises(ValueError, match="captions.json: has no caption for train/n01440764/n01440764_0.JPEG"):
        ImageNet(root=root, image_size=32, batch_size=1, conditions=("caption",)).prepare_data()


def test_batches_survive_pickling_without_their_arrays(objects_root):
    batches = opened(ImageNet, objects_root, conditions=("label",)).train_batches()
    sent = pickle.dumps(batches)
    assert len(sent) < 4000
    assert torch.equal(pickle.loads(sent)(3)["image"], batches(3)["image"])


def make_arrays(root, size=8, map_file=True):
    """Ten arrays of one image a class, the image of class ``wnid`` filled with the wnid's rank."""
    root.mkdir()
    order = (WNIDS[2], WNIDS[0], WNIDS[1])  # of map_clsloc.txt
    labels = np.array([1, 2, 3])
    data = np.stack([np.full(3 * size**2, WNIDS.index(order[k - 1]), np.uint8) for k in labels])
    data[:, 0] = 200  # top left, red
    for name in (*(f"train_data_batch_{i}.npz" for i in range(1, 11)), "val_data.npz"):
        np.savez(root / name, data=data, labels=labels, mean=data.mean(0))
    if map_file:
        (root / "map_clsloc.txt").write_text("".join(f"{wnid} {k} thing\n" for k, wnid in enumerate(order, 1)))
    return root


def test_downsampled_arrays_have_the_labels_of_the_folders(tmp_path):
    data = opened(DownsampledImageNet, make_arrays(tmp_path / "npz"), image_size=8, conditions=("label",))
    assert (len(data.train), len(data.test)) == (30, 3)
    batch = data.train.batch([0, 1, 2, 29])
    assert batch["conditions"]["label"].tolist() == [2, 0, 1, 1]
    assert torch.equal(batch["image"][:, 1, 4, 4].long(), batch["conditions"]["label"])
    assert (batch["image"][:, 0, 0, 0] == 200).all()
    assert (batch["image"] == 200).sum() == 4
    assert data.train.packed.classes == list(WNIDS)
    assert data.folder != ImageNet(root=data.root, image_size=8, batch_size=1).folder


def test_downsampled_arrays_that_are_missing_or_wrong(tmp_path):
    root = make_arrays(tmp_path / "npz", map_file=False)

    def prepare(size=8):
        DownsampledImageNet(root=root, image_size=size, batch_size=1).prepare_data()

    with pytest.raises(
        FileNotFoundError, match="map_clsloc.txt: no such file. The labels of these arrays count in its order"
    ):
        prepare()
    (root / "map_clsloc.txt").write_text(f"{WNIDS[0]} 1 a\n{WNIDS[1]} 2 b\n")
    with pytest.raises(ValueError, match="labels from 1 to 3, expected 1 to 2"):
        prepare()
    (root / "map_clsloc.txt").write_text(f"{WNIDS[0]} 1 a\n{WNIDS[1]} 3 b\n")
    with pytest.raises(ValueError, match="expected the labels 1 to 2 and as many wnids"):
        prepare()
    (root / "map_clsloc.txt").write_text("".join(f"{wnid} {k} a\n" for k, wnid in enumerate(WNIDS, 1)))
    with pytest.raises(
        ValueError, match=r"train_data_batch_1.npz: data is uint8 \[3, 192\], expected uint8 \[N, 768\]"
    ):
        prepare(16)
    (root / "train_data_batch_4.npz").write_bytes(b"PK half a file")
    with pytest.raises(ValueError, match="train_data_batch_4.npz: cannot read 'labels'"):
        prepare()
    (root / "train_data_batch_4.npz").unlink()
    (root / "val_data.npz").unlink()
    with pytest.raises(FileNotFoundError, match="found 9 of 11 arrays, missing train_data_batch_4.npz, val_data.npz"):
        prepare()
