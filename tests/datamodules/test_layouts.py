"""Folders as people have them: the sentence says what was seen, what was expected and what to do."""

import json
import shutil
from pathlib import Path

import pytest
from test_imagenet import WNIDS, flatten_val, make_arrays, make_folders
from tiny_sets import make_celeba, opened, write_image

from datamodules.celebamask_hq import CelebAHQ, CelebAMaskHQ
from datamodules.cifar10 import CIFAR10
from datamodules.cityscapes import Cityscapes
from datamodules.digits import Digits
from datamodules.ffhq import FFHQ
from datamodules.imagenet import ImageNet
from datamodules.images.downsampled_imagenet import DownsampledImageNet
from datamodules.mini.image_layouts import write_cifar10, write_cityscapes, write_digits, write_night2day
from datamodules.night2day import Night2Day
from datamodules.storage import listing
from lightning_mmdiff.errors import MissingFileError, UserError


def refused(module, root: Path, message: str, **settings) -> None:
    data = module(root=root, **{"image_size": 32, "batch_size": 1} | settings)
    with pytest.raises(UserError, match=message) as error:
        data.prepare_data()
    assert str(root) in str(error.value)
    assert not data.folder.exists()


def down(folder: Path, name: str) -> None:
    """Move what a folder holds into a folder of this name inside it."""
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    folder.with_name("moved").rename(folder / name)


def make_ffhq(root: Path) -> Path:
    for number in range(4):
        write_image(root / "images1024x1024" / "00000" / f"{number:05d}.png", seed=number)
    return root


def write_small(write, size: int = 32):
    def make(root: Path) -> Path:
        write(root, count=20, image_size=size)
        return root

    return make


SETS = {
    CelebAMaskHQ: make_celeba,
    CelebAHQ: make_celeba,
    FFHQ: make_ffhq,
    ImageNet: make_folders,
    DownsampledImageNet: make_arrays,
    CIFAR10: write_small(write_cifar10),
    Cityscapes: write_small(write_cityscapes),
    Night2Day: write_small(write_night2day),
    Digits: write_small(write_digits, 8),
}


@pytest.mark.parametrize("module", SETS)
def test_one_folder_deeper_is_said(tmp_path, module) -> None:
    root = SETS[module](tmp_path / "set")
    down(root, "set")
    (root / "__MACOSX").mkdir()
    (root / ".DS_Store").touch()
    refused(
        module,
        root,
        r"(?s)Found there: set/\. .*set/set holds .*: move its content up\. Expected this layout in .*set:",
    )


@pytest.mark.parametrize("module", SETS)
def test_archives_and_nothing_are_said(tmp_path, module) -> None:
    root = tmp_path / "set"
    root.mkdir()
    refused(module, root, r"(?s)Nothing is there\. Expected this layout in")
    (root / "data.zip").touch()
    (root / "notes.txt").touch()
    refused(module, root, r"(?s)Found there: data.zip, notes.txt\. Unpack data.zip first\. Expected this layout in")


@pytest.mark.parametrize("module", SETS)
def test_left_overs_of_other_systems_are_no_data(tmp_path, module) -> None:
    root = SETS[module](tmp_path / "set")
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        (folder / "__MACOSX").mkdir()
        (folder / "._0.jpg").write_bytes(b"resource fork")
        (folder / "Thumbs.db").touch()
    size = 8 if module in (Digits, DownsampledImageNet) else 32
    assert len(opened(module, root, image_size=size).train) > 0


@pytest.mark.parametrize("module", [m for m in SETS if m is not CIFAR10])
def test_a_link_to_nothing_is_named(tmp_path, module) -> None:
    root = SETS[module](tmp_path / "set")
    path = next(p for p in sorted(root.rglob("*")) if p.suffix in (".jpg", ".png", ".JPEG", ".npz"))
    path.unlink()
    path.symlink_to(tmp_path / "unmounted" / path.name)
    if module is not DownsampledImageNet:  # whose arrays have fixed names
        refused(
            module,
            root,
            rf"{path}: is a link to .*unmounted/{path.name}, which is not there; restore it, or remove the",
        )
    folder = tmp_path / "link"
    folder.symlink_to(tmp_path / "unmounted")
    with pytest.raises(MissingFileError, match="link: is a link to .*unmounted, which is not there"):
        module(root=folder, image_size=32, batch_size=1).prepare_data()


def test_an_unreadable_folder_is_named(tmp_path, monkeypatch) -> None:
    root = make_celeba(tmp_path / "faces")

    def denied(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(listing.os, "scandir", denied)
    refused(CelebAHQ, root, r"CelebA-HQ-img: cannot be listed \(Permission denied\)")


def test_images_inside_a_folder_of_each_class(tmp_path) -> None:
    root = make_folders(tmp_path / "imagenet")
    for wnid in WNIDS:
        down(root / "train" / wnid, "images")
    refused(
        ImageNet, root, rf"train: expected images in .*{WNIDS[0]}, found folders such as images; move what they hold up"
    )


def test_train_inside_train(tmp_path) -> None:
    root = make_folders(tmp_path / "imagenet")
    down(root / "train", "train")
    refused(
        ImageNet,
        root,
        f"train: expected images in .*train/train, found folders such as {WNIDS[0]}; move what they hold",
    )


def test_two_names_of_one_image_are_refused_and_padded_names_alone_are_read(tmp_path) -> None:
    root = make_celeba(tmp_path / "faces", count=12)
    before = opened(CelebAMaskHQ, root).test.batch([0])["image"]
    for path in list((root / "CelebA-HQ-img").iterdir()):
        shutil.copy(path, path.with_name(f"{int(path.stem):05d}.jpg"))
    refused(
        CelebAHQ,
        root,
        r"CelebA-HQ-img/00000.jpg: is image 0, and so is .*/0.jpg|0.jpg: is image 0, and so is .*00000.jpg",
    )
    for path in list((root / "CelebA-HQ-img").iterdir()):
        if len(path.stem) < 5:
            path.unlink()
    padded = opened(CelebAMaskHQ, root)
    assert (len(padded.train), padded.test.names) == (11, ["11.jpg"])  # the names by which captions know them
    assert (padded.test.batch([0])["image"] == before).all()


@pytest.mark.parametrize(
    ("module", "first", "second"),
    [
        (FFHQ, "images1024x1024/00000/00001.png", "images1024x1024/1.png"),
        (ImageNet, f"train/{WNIDS[0]}/{WNIDS[0]}_0.JPEG", f"train/{WNIDS[0]}/{WNIDS[0]}_0.jpg"),
        (CIFAR10, "train/cat/0000.jpg", "train/cat/0.jpg"),
        (Digits, "test/0/1516.png", "test/0/01516.jpg"),
        (Night2Day, "train/1.jpg", "train/0001.png"),
        (CelebAMaskHQ, "CelebAMask-HQ-mask-anno/0/00001_hair.png", "CelebAMask-HQ-mask-anno/0/1_hair.png"),
        (CelebAMaskHQ, "CelebA-HQ-img/1.jpg", "CelebA-HQ-img/1.png"),
    ],
)
def test_copies_are_no_data(tmp_path, module, first, second) -> None:
    root = SETS[module](tmp_path / "set")
    shutil.copy(root / first, root / second)
    refused(module, root, f"{Path(second).name}|{Path(first).name}")


def test_copies_of_flat_validation_images(tmp_path) -> None:
    root = make_folders(tmp_path / "imagenet")
    flatten_val(root)
    shutil.copy(root / "val" / "ILSVRC2012_val_00000001.JPEG", root / "val" / "ILSVRC2012_val_1.JPEG")
    refused(ImageNet, root, "val: two images or more have the number 1; remove the copies")


def test_ffhq_in_two_sizes(tmp_path) -> None:
    root = make_ffhq(tmp_path / "ffhq")
    for number in range(4):
        write_image(root / "thumbnails128x128" / f"{number:05d}.png", (16, 16), seed=number)
    assert FFHQ(root=root, image_size=32, batch_size=1).check().image(0).parts[-3] == "images1024x1024"  # the larger
    (root / "images1024x1024" / "00000" / "00003.png").unlink()
    refused(
        FFHQ,
        root,
        "found different images in several folders, 3 in images1024x1024 and 4 in thumbnails128x128; move all but",
    )


def test_pickled_arrays(tmp_path) -> None:
    root = make_arrays(tmp_path / "npz")
    (root / "train_data_batch_1.npz").rename(root / "train_data_batch_1")
    refused(DownsampledImageNet, root, "found train_data_batch_1 without .npz, the pickled release", image_size=8)


def test_label_files_of_another_kind(tmp_path) -> None:
    root = tmp_path / "cityscapes"
    write_cityscapes(root, count=4, image_size=32)
    for path in root.rglob("*_gtFine_labelIds.png"):
        path.rename(path.with_name(path.name.replace("labelIds", "color")))
    refused(Cityscapes, root, r"found 4 photographs and 0 label maps of 'train'; without their counterpart")


def test_batches_of_cifar_inside_their_own_folder(tmp_path) -> None:
    root = tmp_path / "cifar10"
    (root / "cifar-10-batches-py" / "cifar-10-batches-py").mkdir(parents=True)
    refused(CIFAR10, root, "cifar-10-batches-py holds cifar-10-batches-py: move its content up")


def test_the_hint_does_not_name_what_lies_right(tmp_path) -> None:
    root = make_celeba(tmp_path / "faces")
    (root / "text").mkdir()
    (root / "text" / "captions_hq.json").write_text(json.dumps({}))
    data = CelebAMaskHQ(root=root, image_size=32, batch_size=1, conditions=("attributes",))
    with pytest.raises(MissingFileError) as error:
        data.prepare_data()
    assert "move its content" not in str(error.value)
    assert "Found there: CelebA-HQ-img/, CelebAMask-HQ-mask-anno/, text/." in str(error.value)
