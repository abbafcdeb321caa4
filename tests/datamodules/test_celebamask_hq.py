import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sets import make_celeba, merge_by_the_book, write_attributes

from datamodules.batches.steps import Draw
from datamodules.celebamask_hq import CelebAHQ, CelebAMaskHQ, CelebAMaskHQFiles
from datamodules.faces import annotations
from datamodules.faces.classes import ATTRIBUTES, FACE_CLASSES, FLIPPED_CLASSES
from lightning_mmdiff.errors import UserError

ALL = ("hair", "skin", "face_parts", "sketch", "attributes", "caption")


def opened(cls, root, **settings):
    data = cls(**{"root": root, "image_size": 32, "batch_size": 4} | settings)
    data.prepare_data()
    data.setup()
    return data


def test_batch_has_the_documented_format(celeba_root):
    data = opened(CelebAMaskHQ, celeba_root, conditions=ALL, captions="celeba-dialog", flip=True)
    batch = next(iter(data.train_dataloader()))
    assert (len(data.train), len(data.test)) == (54, 6)
    assert batch["index"].dtype == torch.int64
    found = {
        name: (value.dtype, tuple(value.shape)) for name, value in batch["conditions"].items() if name != "caption"
    }
    assert found == {
        "hair": (torch.uint8, (4, 1, 32, 32)),
        "skin": (torch.uint8, (4, 1, 32, 32)),
        "face_parts": (torch.uint8, (4, 7, 32, 32)),
        "sketch": (torch.uint8, (4, 1, 32, 32)),
        "attributes": (torch.int8, (4, 40)),
    }
    assert (batch["image"].dtype, batch["image"].shape) == (torch.uint8, (4, 3, 32, 32))
    assert (batch["label_map"].dtype, batch["label_map"].shape) == (torch.uint8, (4, 32, 32))
    assert all(isinstance(text, str) for text in batch["conditions"]["caption"])
    assert torch.equal(batch["conditions"]["hair"][:, 0] == 255, batch["label_map"] == 13)
    eyes = (batch["label_map"] == 4) | (batch["label_map"] == 5)
    assert torch.equal(batch["conditions"]["face_parts"][:, 2] == 255, eyes)


def test_only_requested_conditions_are_present(celeba_root):
    assert opened(CelebAMaskHQ, celeba_root).test.batch([0])["conditions"] == {}


def test_a_flip_mirrors_everything_and_swaps_left_and_right(celeba_root):
    data = opened(CelebAMaskHQ, celeba_root, conditions=("face_parts", "sketch", "attributes"))
    plain = data.train.draw([Draw(i, False, 0) for i in range(8)])
    flipped = data.train.draw([Draw(i, True, 0) for i in range(8)])
    assert torch.equal(flipped["image"], plain["image"].flip(-1))
    assert torch.equal(flipped["conditions"]["sketch"], plain["conditions"]["sketch"].flip(-1))
    assert torch.equal(flipped["conditions"]["face_parts"], plain["conditions"]["face_parts"].flip(-1))
    assert torch.equal(flipped["conditions"]["attributes"], plain["conditions"]["attributes"])
    mirrored = plain["label_map"].flip(-1)
    for name, other in (
        ("l_eye", "r_eye"),
        ("r_brow", "l_brow"),
        ("l_ear", "r_ear"),
        ("hair", "hair"),
        ("l_lip", "l_lip"),
    ):
        mine, theirs = FACE_CLASSES.index(name), FACE_CLASSES.index(other)
        assert torch.equal(flipped["label_map"] == mine, mirrored == theirs)
    assert np.array_equal(FLIPPED_CLASSES[FLIPPED_CLASSES], np.arange(19))


def test_a_mixed_batch_flips_only_what_was_drawn(celeba_root):
    data = opened(CelebAMaskHQ, celeba_root)
    mixed = data.train.draw([Draw(0, True, 0), Draw(1, False, 0)])
    plain = data.train.batch([0, 1])
    assert torch.equal(mixed["image"], torch.stack([plain["image"][0].flip(-1), plain["image"][1]]))


def test_merge_follows_the_official_order(tmp_path):
    root = make_celeba(tmp_path / "faces", count=5, parts=FACE_CLASSES[1:])
    files = CelebAMaskHQFiles(root)
    for number in files.numbers:
        assert np.array_equal(files.label_map(number), merge_by_the_book(root, number))


def test_a_dim_mask_pixel_counts(tmp_path):
    root = make_celeba(tmp_path / "faces", count=2, parts=("skin",))
    mask = np.zeros((16, 16), np.uint8)
    mask[0, 0] = 1
    Image.fromarray(mask).save(root / "CelebAMask-HQ-mask-anno" / "0" / "00000_hat.png")
    assert CelebAMaskHQFiles(root).label_map(0)[0, 0] == FACE_CLASSES.index("hat")


def test_masks_lie_in_folders_of_two_thousand(tmp_path):
    root = make_celeba(tmp_path / "faces", count=2)
    for path in list((root / "CelebA-HQ-img").iterdir()):
        path.rename(path.with_name(f"{int(path.stem) + 1999}.jpg"))
    (root / "CelebAMask-HQ-mask-anno" / "1").mkdir()
    for path in list((root / "CelebAMask-HQ-mask-anno" / "0").iterdir()):
        number = int(path.name[:5]) + 1999
        path.rename(root / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}{path.name[5:]}")
    assert CelebAMaskHQFiles(root).numbers == [1999, 2000]


def test_real_photographs(real_faces, tmp_path):
    data = opened(CelebAMaskHQ, real_faces, image_size=64, conditions=("hair", "face_parts", "sketch"), cache=tmp_path)
    assert (len(data.train), len(data.test)) == (67, 7)
    files = data.files()
    for number in (0, 3, 40):
        assert np.array_equal(files.label_map(number), merge_by_the_book(real_faces, number))
    batch = data.train.batch(range(67))
    assert {1, 2, 4, 5, 13} <= set(batch["label_map"].unique().tolist())
    columns = torch.arange(64.0)
    left, right = (((batch["label_map"] == k).sum(1) * columns).sum() / (batch["label_map"] == k).sum() for k in (4, 5))
    assert left > 32 > right  # l_eye is the subject's left, in the right half of the image
    plain = CelebAHQ(root=real_faces, image_size=64, batch_size=4, cache=tmp_path)
    assert plain.folder != data.folder


def test_images_alone_are_enough_for_celeba_hq(tmp_path):
    root = make_celeba(tmp_path / "faces")
    shutil.rmtree(root / "CelebAMask-HQ-mask-anno")
    data = opened(CelebAHQ, root, conditions=("sketch",))
    assert "label_map" not in data.test.batch([0])
    with pytest.raises(UserError, match="Unknown condition 'hair': choose from sketch, attributes, caption"):
        CelebAHQ(root=root, image_size=32, batch_size=1, conditions=("hair",))


def test_missing_root_prints_the_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)nowhere: no such folder.*CelebA-HQ-img/\{0..29999\}.jpg"):
        CelebAMaskHQ(root=tmp_path / "nowhere", image_size=32, batch_size=1).prepare_data()
    with pytest.raises(FileNotFoundError, match="no images found"):
        CelebAMaskHQ(root=tmp_path, image_size=32, batch_size=1).prepare_data()


def test_half_downloaded_sets_are_counted(tmp_path):
    root = make_celeba(tmp_path / "faces", count=6)
    (root / "CelebA-HQ-img" / "3.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="found 5 images where the numbers 0 to 5 make 6; missing 3"):
        CelebAMaskHQFiles(root)
    (root / "CelebA-HQ-img" / "4.jpg").unlink()
    (root / "CelebA-HQ-img" / "5.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="3 images but masks of 6 faces; no image for 3.jpg, 4.jpg, 5.jpg"):
        CelebAMaskHQFiles(root)


def test_an_image_without_any_mask_is_an_error(tmp_path):
    root = make_celeba(tmp_path / "faces")
    for path in (root / "CelebAMask-HQ-mask-anno" / "0").glob("00002_*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="found masks of 3 of 4 images, none for 2.jpg"):
        CelebAMaskHQFiles(root)


def test_masks_of_different_sizes_are_errors(tmp_path):
    root = make_celeba(tmp_path / "faces")
    folder = root / "CelebAMask-HQ-mask-anno" / "0"
    half = Image.fromarray(np.repeat(np.uint8([0, 255]), 4)[None].repeat(8, 0))
    half.save(folder / "00001_hat.png")
    with pytest.raises(ValueError, match=r"00001_\*.png: masks of one face differ in size .*hat 8x8"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1).prepare_data()
    for path in folder.glob("00001_*"):
        half.save(path)
    with pytest.raises(ValueError, match="8 pixels wide, but the first of the label maps has 16"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1).prepare_data()


def test_an_unreadable_mask_is_named(tmp_path):
    root = make_celeba(tmp_path / "faces")
    (root / "CelebAMask-HQ-mask-anno" / "0" / "00001_hair.png").write_bytes(b"<html>Quota exceeded</html>")
    with pytest.raises(ValueError, match="00001_hair.png: cannot be read as an image"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1).prepare_data()


def test_attribute_file(tmp_path):
    root = make_celeba(tmp_path / "faces")
    path = root / "CelebAMask-HQ-attribute-anno.txt"
    with pytest.raises(FileNotFoundError, match="attribute file; looked for CelebAMask-HQ-attribute-anno.txt"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1, conditions=("attributes",)).prepare_data()
    write_attributes(root, 4)
    data = opened(CelebAMaskHQ, root, conditions=("attributes",), batch_size=1)
    assert data.train.batch([1])["conditions"]["attributes"][0, :4].tolist() == [0, 0, 1, 0]
    write_attributes(root, 3)
    with pytest.raises(ValueError, match="tells about 3 of 4 images, not about 3"):
        CelebAMaskHQFiles(root).attributes()
    path.write_text(path.read_text().replace("Bald", "Hairless"))
    with pytest.raises(ValueError, match="40 attribute names"):
        annotations.attributes(path)
    path.write_text("2\n" + " ".join(ATTRIBUTES) + "\n0.jpg  1 -1\n")
    with pytest.raises(ValueError, match="row 3 is '0.jpg  1 -1', expected the name of an image and 40 values"):
        annotations.attributes(path)


def test_setup_without_what_is_needed_says_so(tmp_path):
    root = make_celeba(tmp_path / "faces")
    opened(CelebAMaskHQ, root, batch_size=1)
    with pytest.raises(FileNotFoundError, match="but was packed without; call prepare_data"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1, conditions=("attributes",)).setup()


def test_a_cache_folder_keeps_the_root_clean(tmp_path):
    root = make_celeba(tmp_path / "faces")
    data = opened(CelebAMaskHQ, root, cache=tmp_path / "cache", batch_size=1)
    assert not (root / ".packed").exists()
    assert data.folder.is_relative_to(tmp_path / "cache")
