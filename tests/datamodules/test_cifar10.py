import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
import torch
from conftest import REAL
from tiny_sets import opened, write_image

from datamodules.cifar10 import CIFAR10, CLASSES, read_batch


def old_text(text):
    return b"U" + bytes([len(text)]) + text.encode()


def python_2_batch(data, labels):
    """The bytes that Python 2's cPickle writes for {"data": array, "labels": list}, opcode by opcode."""
    raw = data.tobytes()
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"(" + b"".join(b"J" + struct.pack("<i", side) for side in data.shape) + b"t"
    array = reconstruct + b"(K\x01" + shape + dtype + b"\x89" + b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + old_text("data") + array + old_text("labels") + numbers + b"u."


def make_batches(root, write=python_2_batch, count=3):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (6, count, 3072), np.uint8)
    labels = rng.integers(0, 10, (6, count))
    for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        (folder / name).write_bytes(write(data[i], labels[i].tolist()))
    return data, labels


def new_batch(data, labels):
    return pickle.dumps({"data": data, "labels": labels}, protocol=2)


@pytest.mark.parametrize("write", [python_2_batch, new_batch])
def test_the_official_batches_are_planes_of_colors(tmp_path, write):
    data, labels = make_batches(tmp_path, write)
    module = opened(CIFAR10, tmp_path, conditions=("label",))
    assert (len(module.train), len(module.test)) == (15, 3)
    batch = module.train.batch(range(15))
    assert np.array_equal(batch["image"].numpy(), data[:5].reshape(15, 3, 32, 32))
    assert batch["conditions"]["label"].tolist() == labels[:5].ravel().tolist()
    assert np.array_equal(module.test.batch([1])["image"][0].numpy(), data[5, 1].reshape(3, 32, 32))
    assert module.train.packed.classes == list(CLASSES)
    small = opened(CIFAR10, tmp_path, image_size=16).train.batch([4])["image"][0].numpy()
    means = data[1, 1].reshape(3, 16, 2, 16, 2).mean((2, 4))
    assert np.abs(small - means).max() <= 1


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_pickle_runs_no_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data_batch_1"
    for value in (Evil(), {"data": Evil(), "labels": []}):
        path.write_bytes(pickle.dumps(value, protocol=2))
        with pytest.raises(ValueError, match=r"data_batch_1: cannot be read as a batch of CIFAR-10 \(asks for .*mkdir"):
            read_batch(path)
    assert not (tmp_path / "evil").exists()


def test_bad_batches_are_errors(tmp_path):
    data, _ = make_batches(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    whole = path.read_bytes()
    for damaged in (whole[:200], whole[:-200], b"", b"not a pickle"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="data_batch_2: cannot be read as a batch of CIFAR-10"):
            CIFAR10(root=tmp_path, image_size=32, batch_size=1).prepare_data()
    path.write_bytes(python_2_batch(data[0], [1, 2, 11]))
    with pytest.raises(
        ValueError, match=r"holds data uint8 \[3, 3072\] and 3 labels of the classes 1, 2, 11; expected"
    ):
        read_batch(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="found 5 of 6 batches, missing data_batch_2"):
        CIFAR10(root=tmp_path, image_size=32, batch_size=1).prepare_data()


def make_folders(root, count=2, suffix="png"):
    for part in ("train", "test"):
        for label, name in enumerate(CLASSES):
            for i in range(count):
                write_image(root / part / name / f"{i:04d}.{suffix}", seed=label)
    return root


def test_class_folders_have_the_official_order(tmp_path):
    module = opened(CIFAR10, make_folders(tmp_path), conditions=("label",))
    assert (len(module.train), len(module.test)) == (20, 20)
    assert module.test.batch(range(11))["conditions"]["label"].tolist() == [*range(10), 0]
    noise = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8).transpose(2, 0, 1)
    assert np.array_equal(module.train.batch([3])["image"][0].numpy(), noise)


def test_class_folders_that_are_wrong(tmp_path):
    root = make_folders(tmp_path / "cifar10", count=3)

    def prepare(size=32):
        CIFAR10(root=root, image_size=size, batch_size=1).prepare_data()

    with pytest.raises(ValueError, match="32 pixels wide, fewer than the 64 asked for"):
        prepare(64)
    write_image(root / "train" / "cat" / "0001.png", (32, 30))
    with pytest.raises(ValueError, match="cat/0001.png: is 32x30 pixels, expected a square"):
        prepare()
    (root / "train" / "cat" / "0001.png").unlink()
    with pytest.raises(FileNotFoundError, match="cat: found 2 images where the numbers 0 to 2 make 3; missing 1"):
        prepare()
    (root / "train" / "cat").rename(root / "train" / "kitten")
    (root / "test" / "cat").rename(root / "test" / "kitten")
    with pytest.raises(FileNotFoundError, match="found the classes airplane, .*kitten.* expected airplane, automobile"):
        prepare()


def test_archives_are_to_be_unpacked_first(tmp_path):
    (tmp_path / "train.tar.xz").write_bytes(b"")
    with pytest.raises(
        FileNotFoundError, match="no class folders found. Found there: train.tar.xz. Unpack train.tar.xz first"
    ):
        CIFAR10(root=tmp_path, image_size=32, batch_size=1).prepare_data()


@pytest.mark.slow
def test_real_photographs(tmp_path):
    archive = REAL / "cifar10" / "test.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no {archive}; set MMDIFF_DATA")
    with tarfile.open(archive) as tar:
        few = (member for member in tar if member.name[-8:-4] < "0030")
        tar.extractall(tmp_path, members=few, filter="data")
    (tmp_path / "train").symlink_to(tmp_path / "test")
    module = opened(CIFAR10, tmp_path, conditions=("label",), flip=True, batch_size=16)
    assert (len(module.train), len(module.test)) == (300, 300)
    batch = module.train.batch(range(300))
    assert batch["conditions"]["label"].bincount().tolist() == [30] * 10
    blue = (batch["image"][:, 2].float() - batch["image"][:, 0]).mean((1, 2))
    ships, frogs = (blue[batch["conditions"]["label"] == CLASSES.index(name)].mean() for name in ("ship", "frog"))
    assert ships > frogs + 10  # water and sky
    assert torch.equal(module.train_batches()(5)["image"], module.train_batches()(5)["image"])
