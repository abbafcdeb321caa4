"""A table from real photographs, where there are some: the same command, with --data, on a folder that stays as it is."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.celebamask_hq import CelebAMaskHQ
from experiments import cifar10, table4, table8

ROOT = Path(__file__).parents[2]


def listing(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def command(table: str, data: Path, folder: Path) -> None:
    """Run a table at smoke on ``data``; its runs lie in ``folder``/runs."""
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{table}", "--profile", "smoke", "--data", str(data), "--out", "runs"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def measured(folder: Path, table: str) -> list[dict]:
    """Rows of the report that were measured."""
    rows = json.loads((folder / "runs" / "smoke" / "tables" / table / "metrics.json").read_text())["rows"]
    return [row for row in rows if row["state"] == "measured"]


@pytest.mark.slow
def test_table4_on_real_faces(tmp_path, real_data) -> None:
    before = listing(real_data)
    command("table4", real_data, tmp_path)
    assert listing(real_data) == before
    folder = tmp_path / "runs" / "smoke" / "tables" / "table4"
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    assert len(rows) == len(table4.table("smoke", 0).rows)
    assert all(row["state"] == "measured" for row in rows)
    with Image.open(folder / "gallery-1.png") as gallery:
        first_strip = np.asarray(gallery.convert("RGB"))[:80, 250:330]  # the first real test image
    assert first_strip.std() > 20
    [packed] = (tmp_path / "runs" / "packed").glob("CelebAMask-HQ-*")
    images = np.load(packed / "16px" / "images.npy")
    assert images.shape == (len(list((real_data / "CelebAMask-HQ" / "CelebA-HQ-img").glob("*.jpg"))), 3, 16, 16)


def test_given_data_is_packed_below_out(tmp_path, real_data) -> None:
    """The quick half of the test above: nothing is written beside the photographs, every face has hair or skin."""
    from small_runs import HAIR, workspace

    before = listing(real_data)
    data = workspace(real_data, tmp_path / "runs").open(HAIR)
    assert isinstance(data, CelebAMaskHQ)
    data.prepare_data()
    data.setup()
    assert data.folder.is_relative_to(tmp_path / "runs" / "packed")
    assert listing(real_data) == before
    hair = data.test.batch(range(len(data.test)))["conditions"]["hair"]
    assert 0.02 < (hair > 127).float().mean() < 0.6


def test_data_packed_beforehand_is_used_where_it_lies(tmp_path) -> None:
    from small_runs import HAIR, workspace, write_data

    data = write_data(tmp_path / "data")
    CelebAMaskHQ(root=data / "CelebAMask-HQ", image_size=16, batch_size=1).prepare_data()
    opened = workspace(data, tmp_path / "runs").open(HAIR)
    opened.prepare_data()
    assert opened.folder == data / "CelebAMask-HQ" / ".packed" / "16px"
    assert not (tmp_path / "runs" / "packed").exists()


@pytest.mark.slow
def test_cifar10_on_real_photographs(tmp_path, real_data) -> None:
    for part in ("train", "test"):
        archive = real_data / "cifar10" / f"{part}.tar.xz"
        if not archive.is_file():
            pytest.skip(f"no {archive}")
        with tarfile.open(archive) as tar:  # 20 photographs of each class
            tar.extractall(tmp_path / "cifar10", members=(m for m in tar if m.name[-8:-4] < "0020"), filter="data")
    command("cifar10", tmp_path, tmp_path)
    assert len(measured(tmp_path, "cifar10")) == len(cifar10.table("smoke", 0).rows)
    folder = tmp_path / "runs" / "smoke" / "tables" / "cifar10"
    with Image.open(folder / "gallery-1.png") as gallery:
        assert np.asarray(gallery.convert("RGB"))[:80, 250:330].std() > 20


@pytest.mark.slow
def test_table8_on_real_streets(tmp_path, real_data) -> None:
    if not (real_data / "cityscapes").is_dir():
        pytest.skip("no frames of Cityscapes")
    command("table8", real_data, tmp_path)
    rows = measured(tmp_path, "table8")
    assert {table8.SINGLE, table8.OURS, "pix2pix", "CycleGAN"} < {row["label"] for row in rows}
    assert rows[-1]["label"] == "real label pictures"
    assert rows[-1]["cells"]["Pixel acc."]["value"] == 1.0
    assert all("8 images are made for 2 test images" in row["reason"] for row in rows)
