"""Killed at random moments in training, sampling and scoring, a command that is run again ends in the numbers of a quiet run."""

import json
import os
import random
import signal
import time
import warnings
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import small_runs
from safetensors.numpy import load_file
from warm import Warm

from lightning_mmdiff.runtime.checkpoints import newest_checkpoint
from lightning_mmdiff.runtime.files import TEMPORARY
from lightning_mmdiff.runtime.processes import started

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
ENDS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGUSR1: 128 + signal.SIGUSR1}
"""Exit code of a command after each signal."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


class Killing:
    """One command in one folder, killed again and again."""

    def __init__(self, warm: Warm, table: str, data: Path, out: Path) -> None:
        self.warm, self.table, self.data, self.out = warm, table, data, out
        self.runs = out / "smoke"
        self.kills = 0
        self.finished: dict[Path, int] = {}  # results that no later call may make again, with their times

    def start(self) -> int:
        self.out.mkdir(parents=True, exist_ok=True)
        flags = ("--data", self.data, "--out", self.out, "--only", "expert", "samples")
        return self.warm.start(self.table, *flags, log=self.out / "log.txt")

    def finish(self, pid: int) -> None:
        assert self.warm.wait(pid) == 0, (self.out / "log.txt").read_text()[-3000:]
        assert_whole(self.runs)
        self.assert_kept()

    def kill(self, number: signal.Signals, moment: Callable[[], bool]) -> bool:
        """Run until ``moment`` and kill; return whether the command was still at work."""
        log = self.out / "log.txt"
        before = log.stat().st_size if log.exists() else 0
        pid = self.start()
        while not moment() and started(pid) is not None:
            time.sleep(0.002)
        training = (self.runs / "expert" / "loss.csv").exists() and not (
            self.runs / "expert" / "weights.safetensors"
        ).exists()
        os.kill(pid, number)
        code = self.warm.wait(pid)
        early = code == -number and log.stat().st_size == before  # killed before it listened and said a word
        assert early or code in (0, ENDS[number]), (code, log.read_text()[-3000:])
        assert_whole(self.runs)
        self.assert_kept()
        if code:
            self.kills += 1
        if code and number != signal.SIGKILL and not early:
            assert b"Stopped by" in log.read_bytes()[before:]
            assert not temporary_files(self.out)
            if training and not (self.runs / "expert" / "weights.safetensors").exists():
                self.assert_saved()
        return code != 0

    def assert_saved(self) -> None:
        """Nothing of the training is lost: what the loss curve has reached is in the checkpoint."""
        rows = (self.runs / "expert" / "loss.csv").read_text().split()[1:]
        newest = newest_checkpoint(self.runs / "expert")
        saved = int(newest.stem.removeprefix("step=")) if newest else 0
        assert saved >= max([int(row.split(",")[0]) for row in rows], default=0)

    def assert_kept(self) -> None:
        """Finished results are not made again."""
        found = [*self.runs.glob("samples/samples/[0-9]*.npy"), *self.runs.glob("samples/features/[A-Z]*.npy")]
        times = {p: p.stat().st_mtime_ns for p in [*found, *self.runs.glob("expert/weights.safetensors")]}
        assert times.items() >= self.finished.items()
        self.finished = times


def temporary_files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob(".*") if TEMPORARY.fullmatch(p.name)]


def assert_whole(runs: Path) -> None:
    """Every file that a later call would read can be read."""
    for path in [p for p in runs.rglob("*") if p.is_file() and not TEMPORARY.fullmatch(p.name)]:
        match path.suffix:
            case ".npy" | ".npz":
                loaded = np.load(path)
                assert path.suffix == ".npy" or [loaded[name].shape for name in loaded.files]
            case ".json":
                json.loads(path.read_text())
            case ".safetensors":
                load_file(path)
            case ".ckpt":
                assert zipfile.ZipFile(path).testzip() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        newest_checkpoint(runs / "expert")


def results(runs: Path) -> dict[str, bytes]:
    """Content of every file of the runs but the record of how long it took."""
    files = [p for name in ("expert", "samples", "reference") for p in (runs / name).rglob("*") if p.is_file()]
    return {str(p.relative_to(runs)): content(p) for p in files if p.name != "provenance.json"}


def content(path: Path) -> bytes:
    if path.suffix != ".npz":
        return path.read_bytes()
    with np.load(path) as arrays:  # the file itself holds the time of writing
        return b"".join(name.encode() + arrays[name].tobytes() for name in arrays.files)


def assert_equal(runs: Path, whole: Path) -> None:
    """Weights, loss curve, images and numbers are those of an undisturbed run, bit for bit; nothing else is left."""
    here, there = results(runs), results(whole)
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []


@pytest.mark.slow
def test_four_kills(warm, tmp_path, data) -> None:
    """Once in each stage and once more, at a random moment after a sign of it."""
    quiet = Killing(warm, "brief_table", data, tmp_path / "quiet")
    undisturbed = quiet.start()
    killing, rng = Killing(warm, "brief_table", data, tmp_path / "killed"), random.Random(os.getpid())
    runs = killing.runs

    def after(pattern: str) -> Callable[[], bool]:
        end: list[float] = []

        def moment() -> bool:
            if not end and any(runs.glob(pattern)):
                end.append(time.monotonic() + rng.uniform(0, 0.1))
            return bool(end) and time.monotonic() > end[0]

        return moment

    assert killing.kill(signal.SIGKILL, after("expert/checkpoints/step=10.ckpt"))
    assert killing.kill(signal.SIGUSR1, after("expert/checkpoints/step=30.ckpt"))
    assert killing.kill(signal.SIGTERM, after("samples/samples/00001.npy"))
    killing.kill(signal.SIGKILL, after("samples/metrics.json"))
    killing.finish(killing.start())
    quiet.finish(undisturbed)
    assert killing.kills >= 3
    assert_equal(runs, quiet.runs)


@pytest.mark.slow
def test_a_training_with_two_optimizers_killed_twice(warm, tmp_path, data) -> None:
    quiet = Killing(warm, "adversarial_table", data, tmp_path / "quiet")
    undisturbed = quiet.start()
    killing = Killing(warm, "adversarial_table", data, tmp_path / "killed")
    for step in (20, 50):
        here = killing.runs / "expert" / "checkpoints"
        assert killing.kill(signal.SIGKILL, lambda there=here / f"step={step}.ckpt": there.exists())
        assert not (killing.runs / "expert" / "weights.safetensors").exists()
    killing.finish(killing.start())
    quiet.finish(undisturbed)
    assert_equal(killing.runs, quiet.runs)


@pytest.mark.slow
def test_thirty_kills(warm, tmp_path, data) -> None:
    quiet = Killing(warm, "long_table", data, tmp_path / "quiet")
    start = time.monotonic()
    quiet.finish(quiet.start())
    duration = time.monotonic() - start
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    rng, kills = random.Random(seed), 0
    for chain in count():
        killing = Killing(warm, "long_table", data, tmp_path / f"killed{chain}")
        for signum in rng.choices(SIGNALS, k=30 - kills):
            end = time.monotonic() + rng.uniform(0.05, duration / 5)
            if not killing.kill(signum, lambda end=end: time.monotonic() > end):
                break
        killing.finish(killing.start())
        assert_equal(killing.runs, quiet.runs)
        kills += killing.kills
        if kills >= 30:
            break
