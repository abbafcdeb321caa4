import json
import multiprocessing
import os

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_sets import make_celeba, write_attributes

from datamodules.celebamask_hq import CelebAMaskHQFiles
from datamodules.faces.packed import open_packed, pack
from datamodules.storage import packing


def pack_here(root, folder, barrier=None, answers=None):
    if barrier is not None:
        barrier.wait()
    did = pack(CelebAMaskHQFiles(root), image_size=16, folder=folder)
    if answers is not None:
        answers.put((did, open_packed(folder).images[:].sum()))
    return did


def test_arrays_hold_the_reduced_images_label_maps_and_sketches(tmp_path):
    root = make_celeba(tmp_path / "faces", count=3, size=32, mask_size=64)
    files, folder = CelebAMaskHQFiles(root), root / ".packed" / "16px"
    assert pack(files, image_size=16, folder=folder)
    data = open_packed(folder)
    for i in range(3):
        image = np.asarray(Image.open(root / "CelebA-HQ-img" / f"{i}.jpg"))
        area = image.reshape(16, 2, 16, 2, 3).mean((1, 3))
        assert np.abs(data.images[i].transpose(1, 2, 0) - area).max() <= 1  # Pillow rounds after each of the two passes
        small = np.asarray(Image.fromarray(files.label_map(i)).resize((16, 16), Image.Resampling.NEAREST))
        assert np.array_equal(data.label_maps[i], small)
        gray = cv2.cvtColor(np.ascontiguousarray(data.images[i].transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
        assert np.array_equal(data.sketches[i][0], cv2.Canny(gray, 100, 200, L2gradient=True))


def test_images_of_the_right_size_are_not_touched(celeba_root, tmp_path):
    pack(CelebAMaskHQFiles(celeba_root), image_size=32, folder=tmp_path / "32px")
    image = np.asarray(Image.open(celeba_root / "CelebA-HQ-img" / "5.jpg").convert("RGB"))
    assert np.array_equal(open_packed(tmp_path / "32px").images[5], image.transpose(2, 0, 1))


@pytest.mark.slow
def test_three_processes_at_once_pack_once_and_leave_one_whole_folder(tmp_path):
    root = make_celeba(tmp_path / "faces", count=40)
    folder = root / ".packed" / "16px"
    context = multiprocessing.get_context("forkserver")  # one process imports torch, and the three are its copies
    context.set_forkserver_preload([__name__])
    barrier, answers = context.Barrier(3), context.Queue()
    processes = [context.Process(target=pack_here, args=(root, folder, barrier, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    results = [answers.get(timeout=300) for _ in processes]
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(did for did, _ in results) == [False, False, True]
    assert len({total for _, total in results}) == 1
    assert sorted(path.name for path in folder.parent.iterdir()) == [".16px.lock", "16px"]


def test_without_locks_the_loser_discards_its_work(tmp_path, monkeypatch):
    root = make_celeba(tmp_path / "faces")
    folder = tmp_path / "cache" / "16px"
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError("no locks here")))
    install = packing.install

    def late(temporary, target):
        if not target.exists():  # another process finishes first
            monkeypatch.setattr(packing, "install", install)
            pack_here(root, folder)
        install(temporary, target)

    monkeypatch.setattr(packing, "install", late)
    assert pack_here(root, folder)
    assert len(open_packed(folder).names) == 4
    assert [path.name for path in folder.parent.iterdir() if path.name != ".16px.lock"] == ["16px"]


def test_packs_again_only_what_changed(tmp_path):
    root = make_celeba(tmp_path / "faces")
    folder = root / ".packed" / "16px"
    assert pack_here(root, folder)
    assert not pack_here(root, folder)
    inode = (folder / "images.npy").stat().st_ino
    write_attributes(root, 4)
    assert pack_here(root, folder)
    assert (folder / "images.npy").stat().st_ino == inode  # pixels were kept
    assert open_packed(folder).attributes[0][:4].tolist() == [1, 0, 0, 1]
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(root / "CelebA-HQ-img" / "2.jpg")
    assert pack_here(root, folder)
    assert (open_packed(folder).images[2] < 3).all()


def test_a_failed_packing_leaves_nothing_and_names_every_bad_file(tmp_path):
    root = make_celeba(tmp_path / "faces")
    folder = root / ".packed" / "16px"
    for i in (1, 3):
        path = root / "CelebA-HQ-img" / f"{i}.jpg"
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"(?s)1\.jpg: cannot be read.*3\.jpg: cannot be read"):
        pack_here(root, folder)
    assert [path.name for path in folder.parent.iterdir()] == [".16px.lock"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    import socket

    root = make_celeba(tmp_path / "faces")
    folder = root / ".packed" / "16px"
    (folder.parent / f".16px.{socket.gethostname()}.123.456").mkdir(parents=True)
    pack_here(root, folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == [".16px.lock", "16px"]


@pytest.mark.parametrize(
    ("size", "message"), [((40, 32), "is 40x32 pixels, expected a square"), ((64, 64), "64 pixels wide, but the first")]
)
def test_misshapen_images_are_errors(tmp_path, size, message):
    root = make_celeba(tmp_path / "faces")
    Image.new("RGB", size).save(root / "CelebA-HQ-img" / "2.jpg")
    with pytest.raises(ValueError, match=rf"2\.jpg: {message}"):
        pack_here(root, root / ".packed" / "16px")


def test_enlarging_is_an_error(tmp_path):
    root = make_celeba(tmp_path / "faces")
    with pytest.raises(ValueError, match="32 pixels wide, fewer than the 64 asked for"):
        pack(CelebAMaskHQFiles(root), image_size=64, folder=tmp_path / "64px")


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    root = make_celeba(tmp_path / "faces")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="disk full, images.npy needs"):
        pack_here(root, root / ".packed" / "16px")


def test_opening_what_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing packed here; call prepare_data"):
        open_packed(tmp_path / "32px")


def test_index_says_what_is_packed(tmp_path):
    root = make_celeba(tmp_path / "faces")
    pack_here(root, root / ".packed" / "16px")
    index = json.loads((root / ".packed" / "16px" / "index.json").read_text())
    assert index["count"] == 4
    assert index["names"] == [f"{i}.jpg" for i in range(4)]
    assert set(index["fingerprint"]) == {"version", "pixels", "text"}
