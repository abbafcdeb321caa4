"""A table from real photographs, where there are some: the same command, with --data, on a folder that stays as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.celebamask_hq import CelebAMaskHQ
from experiments import table4

ROOT = Path(__file__).parents[2]


def listing(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


@pytest.mark.slow
def test_table4_on_real_faces(tmp_path, real_data) -> None:
    before = listing(real_data)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.table4", "--profile", "smoke", "--data", str(real_data), "--out", "runs"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
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
