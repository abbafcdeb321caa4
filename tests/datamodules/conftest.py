import os
from pathlib import Path

import pytest

from datamodules.mini.image_layouts import write_cityscapes, write_imagenet
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq

REAL = Path(os.environ.get("MMDIFF_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_faces():
    root = REAL / "CelebAMask-HQ"
    if not root.is_dir():
        pytest.skip(f"no real faces in {root}; set MMDIFF_DATA")
    return root


@pytest.fixture(scope="session")
def celeba_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("celeba") / "CelebAMask-HQ"
    write_celebamask_hq(root, count=60, image_size=32, seed=3)
    return root


@pytest.fixture(scope="session")
def ffhq_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("ffhq") / "FFHQ"
    write_ffhq(root, count=40, image_size=32, seed=3)
    return root


@pytest.fixture(scope="session")
def real_frames():
    root = REAL / "cityscapes"
    if not root.is_dir():
        pytest.skip(f"no real street scenes in {root}; set MMDIFF_DATA")
    return root


@pytest.fixture(scope="session")
def objects_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("objects") / "imagenet"
    write_imagenet(root, count=40, image_size=32, seed=3)
    return root


@pytest.fixture(scope="session")
def streets_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("streets") / "cityscapes"
    write_cityscapes(root, count=12, image_size=32, seed=3)
    return root
