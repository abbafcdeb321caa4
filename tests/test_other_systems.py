"""What only Linux has: without it, the same work is done another way (macOS), or a sentence says what to do (Windows)."""

import errno
import os
import resource
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from datamodules.config import DataConfig
from datamodules.mini.layouts import write_celebamask_hq
from datamodules.storage.packing import new_array
from experiments.core import provenance
from lightning_mmdiff.runtime import processes

ROOT = Path(__file__).parents[1]


@pytest.fixture
def macos(monkeypatch) -> None:
    """Take away what macOS lacks."""
    for name in ("sched_getaffinity", "posix_fallocate"):
        monkeypatch.delattr(os, name, raising=False)


@pytest.mark.usefixtures("macos")
def test_data_are_packed_without_linux(tmp_path) -> None:
    assert processes.cores() == os.cpu_count()
    write_celebamask_hq(tmp_path / "CelebAMask-HQ", count=8, image_size=16)
    data = DataConfig(dataset="celebamask_hq", image_size=16, conditions=("hair",)).open(tmp_path)
    data.prepare_data()
    data.setup()
    assert data.test.batch([0])["image"].shape == (1, 3, 16, 16)


@pytest.mark.usefixtures("macos")
def test_a_full_disk_is_seen_without_reserving(tmp_path, monkeypatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(free=10))
    with pytest.raises(OSError, match="disk full") as found:
        new_array(tmp_path / "a.npy", (100, 100))
    assert found.value.errno == errno.ENOSPC


def test_peak_memory_is_in_bytes_on_macos(monkeypatch) -> None:
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2**20))
    assert provenance.peak_memory_gib() == 1
    monkeypatch.setattr(sys, "platform", "darwin")
    assert provenance.peak_memory_gib() == 2**-10


def test_windows_gets_a_sentence() -> None:
    code = "import sys; sys.platform = 'win32'; import lightning_mmdiff"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("on Windows, install and run it inside WSL (wsl --install).")
