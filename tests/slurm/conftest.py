"""A real SLURM for the tests of this folder."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import second_table
from daemons import PROGRAMS, Slurm, programs

from experiments.core.run_config import as_json
from experiments.spec import plan
from lightning_mmdiff.runtime.files import write_json
from slurm import scheduler, submit

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def daemons() -> Iterator[Slurm]:
    """One node, started once and stopped at the end."""
    missing = [name for name in PROGRAMS if name not in programs()]
    if missing:
        pytest.skip(f"SLURM is not installed here ({', '.join(missing)}); apt-get install slurm-wlm munge")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:  # munge wants its folder open to all, pytest's are not
        slurm = Slurm(Path(folder))
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.stop()


@pytest.fixture
def cluster(daemons, tmp_path, monkeypatch) -> Path:
    """Folder to submit from, with the environment of a user of that SLURM and nothing left in the queue afterwards."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "slurm")])
    for name, value in {"SLURM_CONF": str(daemons.config), "PYTHONPATH": paths}.items():
        monkeypatch.setenv(name, value)
    for name in [n for n in os.environ if n.startswith("SLURM_") and n != "SLURM_CONF"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.toml").write_text("cpus_per_task = 1\n")
    yield tmp_path
    scheduler.cancel(queued.id for queued in scheduler.queue())


@pytest.fixture
def finished(cluster) -> Callable[..., None]:
    """Wait until the queue is empty, or ``until`` holds."""

    def wait(until: Callable[[], bool] = lambda: not scheduler.queue(), seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, f"still in the queue after {seconds} s: {scheduler.queue()}"
            time.sleep(0.1)

    return wait


@pytest.fixture
def order(cluster) -> Callable[..., list[str]]:
    """Submit the toy table, or ``table``; returns the lines that are printed."""

    def send(*words: str, table: str = "toy_table", out: Path = Path("runs")) -> list[str]:
        for run in plan([second_table.table("smoke", seed) for seed in range(2)]):
            write_json(out / "smoke" / run.name / "config.json", as_json(run))
        words = (table, "--profile", "smoke", "--cluster", "cluster.toml", "--out", str(out), *words)
        return submit.main(submit.tyro.cli(submit.SubmitFlags, args=words))

    return send


@pytest.fixture
def wrap(tmp_path, monkeypatch) -> Callable[..., None]:
    """Place shell scripts before SLURM's own programs; ``$REAL`` is the program itself."""

    def wrap(script: str, *names: str) -> None:
        folder = tmp_path / "wrapped"
        folder.mkdir(exist_ok=True)
        for name in names:
            path = folder / name
            path.write_text(f"#!/bin/bash\nREAL={shutil.which(name)}\n{script}\n")
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/local/bin:/usr/bin:/bin")

    return wrap
