"""Packed data that a disk or a copy has damaged is refused where it is read, whichever file it is (fault D12)."""

import json
import pickle

import numpy as np
import pytest
from tiny_sets import make_celeba, opened, write_attributes, write_image

from datamodules.celebamask_hq import CelebAMaskHQ
from datamodules.imagenet import ImageNet
from datamodules.storage.rows import CompressedRows, MappedRows, write_checksums
from lightning_mmdiff.errors import UserError

ROWS = ("images.npy", "sketches.npy", "label_maps.npy", "attributes.npy", "original_label_maps.zlib")
REST = ("index.json", "captions.json", "images.crc.npy", "original_label_maps.spans.npy", "digests.json")


def faces(root, **settings) -> CelebAMaskHQ:
    conditions = ("mask", "sketch", "attributes")
    return opened(CelebAMaskHQ, root, image_size=32, conditions=conditions, label_size=8, **settings)


def flip_a_bit(path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ROWS)
def test_a_flipped_bit_in_a_row_is_found_when_the_row_is_read(name: str, tmp_path) -> None:
    root = make_celeba(tmp_path / "faces")
    write_attributes(root, 4)
    data = faces(root)
    before = data.train.batch([0, 1, 2])
    flip_a_bit(data.folder / name, -1)  # of the last face, which is the test image
    again = CelebAMaskHQ(root=root, image_size=32, batch_size=1, conditions=data.conditions, label_size=8)
    again.setup()
    if name != "original_label_maps.zlib":  # whose order is that of the threads
        assert {key: value.tolist() for key, value in again.train.batch([0, 1, 2])["conditions"].items()} == {
            key: value.tolist() for key, value in before["conditions"].items()
        }
    message = (
        rf"faces/.packed/32px/{name}: its row \d is not what was packed; .* Delete .*32px and run the same command"
    )
    with pytest.raises(UserError, match=message):
        [again.test.batch([0]), again.train.batch([0, 1, 2])]


@pytest.mark.parametrize("name", REST)
def test_a_change_in_any_other_file_is_found_when_the_pack_is_opened(name: str, tmp_path) -> None:
    root = make_celeba(tmp_path / "faces")
    write_attributes(root, 4)
    data = faces(root)
    flip_a_bit(data.folder / name, (data.folder / name).stat().st_size // 2)
    with pytest.raises(UserError, match=r"32px/[\w.]+: its content is not what was packed"):
        data.setup()
    data.prepare_data()  # it is known to be damaged before anything is read from it, so it is packed anew
    data.setup()
    assert len(data.train.batch([0, 1, 2])["index"]) == 3


@pytest.mark.parametrize("change", [{}, {"fingerprint": {}}, None])
def test_an_index_of_other_content_is_no_index(change, tmp_path) -> None:
    data = faces_without_text(tmp_path)
    (data.folder / "index.json").write_text(json.dumps(change))
    with pytest.raises(UserError, match=r"index.json: its content is not what was packed"):
        data.fingerprint()
    data.prepare_data()
    assert len(data.fingerprint()) == 16


def faces_without_text(folder) -> CelebAMaskHQ:
    return opened(CelebAMaskHQ, make_celeba(folder / "faces"), image_size=32)


def test_data_packed_by_an_earlier_version_is_packed_again(tmp_path) -> None:
    data = faces_without_text(tmp_path)
    (data.folder / "digests.json").unlink()
    with pytest.raises(UserError, match="was packed by an earlier version; call prepare_data"):
        data.setup()
    data.prepare_data()
    data.setup()


def test_labels_are_checked_too(tmp_path) -> None:
    for part in ("train", "val"):
        for name in ("n1", "n2"):
            write_image(tmp_path / part / name / f"{name}_0.JPEG")
    data = opened(ImageNet, tmp_path, conditions=("label",))
    flip_a_bit(data.folder / "labels.npy", -8)
    with pytest.raises(UserError, match="labels.npy: its row 3 is not what was packed"):
        data.test.batch([0, 1])


def test_rows_are_chosen_as_in_an_array(tmp_path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(6, 4)
    np.save(tmp_path / "a.npy", array)
    write_checksums(tmp_path / "a.npy")
    rows = MappedRows(tmp_path / "a.npy")
    for choice in (0, -1, slice(1, 4), slice(None), np.array([5, 0, 5]), np.array([], int), [2, 1]):
        found = rows[choice]
        assert np.array_equal(found, array[choice])
        assert found.flags.writeable or not isinstance(found, np.ndarray)
    assert (len(rows), rows.shape) == (6, (6, 4))
    assert np.array_equal(np.asarray(rows), array)
    rows[2][:] = 99  # a copy
    assert np.array_equal(rows[:], array)


def test_a_row_is_checked_when_it_is_first_read(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.uint8))
    write_checksums(tmp_path / "a.npy")
    rows = MappedRows(tmp_path / "a.npy")
    assert rows[np.array([0, 1])].sum() == 0
    np.load(tmp_path / "a.npy", mmap_mode="r+")[:] = 1
    assert rows[1].sum() == 4  # read before: not compared again
    with pytest.raises(UserError, match="row 2 is not"):
        rows[2]


def test_workers_open_the_pack_themselves(tmp_path) -> None:
    data = opened(CelebAMaskHQ, make_celeba(tmp_path / "faces", mask_size=64), image_size=16)
    packed = pickle.loads(pickle.dumps(data.train.packed))
    assert isinstance(packed.original_label_maps, CompressedRows)
    assert np.array_equal(packed.original_label_maps[[0, 3]], data.train.packed.original_label_maps[[0, 3]])
