import json

import numpy as np
import pytest
from tiny_sets import make_celeba

from datamodules.celebamask_hq import CelebAMaskHQ, CelebAMaskHQFiles
from datamodules.faces.captions import captions_of
from datamodules.faces.packed import Packed
from datamodules.faces.split import split_rows


def opened(cls, root, **settings):
    data = cls(**{"root": root, "image_size": 32, "batch_size": 4} | settings)
    data.prepare_data()
    data.setup()
    return data


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
    with pytest.raises(ValueError, match="Unknown condition 'beard'"):
        CelebAMaskHQ(root=root, image_size=32, batch_size=1, conditions=("beard",))


def test_caption_forms():
    official = {
        "overall_caption": "All.",
        "attribute_wise_captions": {"No_Beard": "No beard.", "Young": "She is Young."},
    }
    assert captions_of(official, "celeba-dialog", derived=False) == ["All."]
    assert captions_of(official, "beard-and-age", derived=False) == ["no beard. she is young."]
    assert captions_of({"Beard_and_Age": "Old MAN."}, "celeba-dialog", derived=True) == ["old man."]
    assert captions_of({"overall_caption": None}, "celeba-dialog", derived=False) == []


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
        CelebAMaskHQFiles(root).captions("mm-celeba")


def fake_packed(count, official=None):
    names = [f"{i}.jpg" for i in range(count)]
    nothing = np.empty(0, np.uint8)
    return Packed(
        folder=None, names=names, numbers=list(range(count)), total=count, official_split=official,
        images=nothing, sketches=nothing, label_maps=None, original_label_maps=None,
        attributes=None, captions=(),
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


@pytest.mark.parametrize(("count", "tested"), [(30_000, 3_000), (74, 7)])
def test_validation_images_are_the_last_that_the_paper_trains_on(count, tested):
    parts = {split: split_rows(fake_packed(count), split, range(count)) for split in ("paper", "reduced", "validation")}
    assert len(parts["validation"][0]) == tested
    np.testing.assert_array_equal(np.concatenate([parts["reduced"][0], parts["validation"][0]]), parts["paper"][0])
    for _, test in parts.values():
        np.testing.assert_array_equal(test, parts["paper"][1])


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
