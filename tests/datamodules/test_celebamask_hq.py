import json
import shutil

import numpy as np
import pytest
import torch
from conftest import make_celeba, merge_by_the_book, write_attributes
from PIL import Image

from datamodules.captions import caption_of
from datamodules.celebamask_hq import CelebAHQ, CelebAMaskHQ
from datamodules.celebamask_hq_files import CelebAMaskHQFiles, read_attributes
from datamodules.face_classes import ATTRIBUTES, FACE_CLASSES, FLIPPED_CLASSES
from datamodules.face_split import split_rows
from datamodules.packed import Packed
from datamodules.steps import Draw

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
    with pytest.raises(FileNotFoundError, match="condition hair needs label maps; this data set has none"):
        CelebAHQ(root=root, image_size=32, batch_size=1, conditions=("hair",)).prepare_data()


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
    Image.new("L", (8, 8), 255).save(folder / "00001_hat.png")
    with pytest.raises(ValueError, match=r"00001_\*.png: masks of one face differ in size .*hat 8x8"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1).prepare_data()
    for path in folder.glob("00001_*"):
        Image.new("L", (8, 8), 255).save(path)
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
    with pytest.raises(ValueError, match="rows for 3 of 4 images, none for 3"):
        CelebAMaskHQFiles(root).attributes()
    path.write_text(path.read_text().replace("Bald", "Hairless"))
    with pytest.raises(ValueError, match="40 attribute names"):
        read_attributes(path)
    path.write_text("2\n" + " ".join(ATTRIBUTES) + "\n0.jpg  1 -1\n")
    with pytest.raises(ValueError, match="a row for 0.jpg that is not 40 values"):
        read_attributes(path)


def write_dialog(root, order):
    entries = {f"{i}.jpg": {"overall_caption": f"Face {i}.", "attribute_wise_captions": {}} for i in order}
    (root / "captions_hq.json").write_text(json.dumps(entries))


def test_captions_define_the_order_and_an_image_without_one_is_left_out_by_name(tmp_path, caplog):
    root = make_celeba(tmp_path / "faces", count=11)
    write_dialog(root, [10, 9, 0, 1, 2, 3, 4, 6, 7, 8])  # 5 has none
    data = opened(CelebAMaskHQ, root, captions="celeba-dialog", conditions=("caption",), batch_size=1)
    assert data.train.names[:3] == ["10.jpg", "9.jpg", "0.jpg"]
    assert data.test.names == ["8.jpg"]
    assert data.excluded == ["5.jpg"]
    assert "5.jpg" in caplog.text
    assert data.train.batch([0])["conditions"]["caption"] == ["Face 10."]
    without = opened(CelebAMaskHQ, root, batch_size=1)
    assert len(without.train) + len(without.test) == 11
    write_dialog(root, range(5))
    with pytest.raises(ValueError, match="found celeba-dialog captions of 5 of 11 images, none for 5.jpg"):
        opened(CelebAMaskHQ, root, captions="celeba-dialog")


def test_missing_captions_are_explained(tmp_path):
    root = make_celeba(tmp_path / "faces")
    with pytest.raises(ValueError, match="Condition 'caption' needs captions="):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1, conditions=("caption",))
    with pytest.raises(FileNotFoundError, match="needs their files; looked for text/celeba-caption or"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1, captions="mm-celeba").prepare_data()
    with pytest.raises(ValueError, match="Unknown condition beard"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1, conditions=("beard",))


def test_caption_forms():
    official = {
        "overall_caption": "All.",
        "attribute_wise_captions": {"No_Beard": "No beard.", "Young": "She is Young."},
    }
    assert caption_of(official, "celeba-dialog") == "All."
    assert caption_of(official, "beard-and-age") == "no beard. she is young."
    assert caption_of({"Beard_and_Age": "Old MAN."}, "celeba-dialog") == "old man."
    assert caption_of({"overall_caption": None}, "celeba-dialog") == ""


def test_the_derived_file_is_read(tmp_path):
    root = make_celeba(tmp_path / "faces")
    entries = {f"{i}.jpg": {"Beard_and_Age": f"Person {i}"} for i in range(4)}
    (root / "text").mkdir()
    (root / "text" / "captions_hq_beard_and_age_2022-08-19.json").write_text(json.dumps(entries))
    data = opened(CelebAMaskHQ, root, captions="beard-and-age", conditions=("caption",), batch_size=1)
    assert data.test.batch([0])["conditions"]["caption"] == ["person 3"]


def test_ten_captions_training_draws_one_by_step_and_testing_takes_the_first(tmp_path):
    root = make_celeba(tmp_path / "faces")
    folder = root / "text" / "celeba-caption"
    folder.mkdir(parents=True)
    for i in range(4):
        (folder / f"{i}.txt").write_text("".join(f"face {i} line {k}\n" for k in range(10)))
    data = opened(CelebAMaskHQ, root, captions="mm-celeba", conditions=("caption",), batch_size=2)
    batches = data.train_batches()
    texts = [batches(step)["conditions"]["caption"] for step in range(60)]
    assert texts == [data.train_batches()(step)["conditions"]["caption"] for step in range(60)]
    assert {text.split()[-1] for row in texts for text in row} == {str(k) for k in range(10)}
    assert data.test.batch([0])["conditions"]["caption"] == ["face 3 line 0"]
    (folder / "1.txt").write_text("only one\n")
    with pytest.raises(ValueError, match="1.txt: has 1 captions, expected 10"):
        CelebAMaskHQFiles(root).captions()


def fake_packed(count, official=None):
    names = [f"{i}.jpg" for i in range(count)]
    nothing = np.empty(0, np.uint8)
    return Packed(
        folder=None, names=names, numbers=list(range(count)), total=count, official_split=official,
        images=nothing, sketches=nothing, label_maps=None, attributes=None, captions=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("count", "train", "test"),
    [
        (30_000, (0, 26_999), (27_000, 29_999)),
        (70_000, (0, 26_999), (27_000, 29_999)),
        (74, (0, 66), (67, 73)),
        (2, (0, 0), (1, 1)),
    ],
)
def test_paper_split(count, train, test):
    rows = split_rows(fake_packed(count), "paper", range(count))
    assert [(int(part[0]), int(part[-1])) for part in rows] == [train, test]


def test_paper_split_without_the_one_uncaptioned_image():
    train, test = split_rows(fake_packed(30_000), "paper", [i for i in range(30_000) if i != 5380])
    assert (len(train), len(test), int(test[0])) == (26_999, 3_000, 27_000)


def test_official_split_follows_celebas_partition(tmp_path, celeba_root):
    root = make_celeba(tmp_path / "faces", count=5)
    with pytest.raises(
        FileNotFoundError, match="split='official' needs the file that defines it; looked for CelebA-HQ-to"
    ):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1, split="official").prepare_data()
    originals = (162_770, 162_771, 182_637, 182_638, 5)
    rows = [f"{i}  {original}  {original + 1:06d}.jpg" for i, original in enumerate(originals)]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(["idx  orig_idx  orig_file", *rows]) + "\n")
    data = opened(CelebAMaskHQ, root, split="official", batch_size=1)
    assert (data.train.names, data.test.names) == (["0.jpg", "4.jpg"], ["3.jpg"])
    assert len(opened(CelebAMaskHQ, celeba_root, split="official").test) > 0


def test_a_split_without_test_images_is_an_error():
    with pytest.raises(ValueError, match="has 3 to train and 0 to test; both need at least one. .*split='paper'"):
        split_rows(fake_packed(3, ["train"] * 3), "official", range(3))
    with pytest.raises(ValueError, match="has 0 to train and 1 to test"):
        split_rows(fake_packed(1), "paper", range(1))


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
