"""Whatever stops a run, running it again gives the numbers of a run that nothing stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import small_runs
import torch
from lightning import Callback

from experiments import build, stages
from experiments.spec import TrainRun
from lightning_mmdiff.checkpoints import newest_checkpoint

ROOT = Path(__file__).parents[2]
REGIMES = {
    "one data set": {"data": (small_runs.HAIR,)},
    "combined": {"data": (small_runs.HAIR, small_runs.SKIN)},
    "fine-tuning": {"data": (small_runs.HAIR, small_runs.SKIN), "regime": "fine_tuning", "switch_step": 18},
}


class Stop(Callback):
    """Raise an error after some step."""

    def __init__(self, step: int, error: BaseException):
        self.step, self.error = step, error

    def on_train_batch_end(self, trainer, *_) -> None:
        if trainer.global_step == self.step:
            raise self.error


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are faster so, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


def train(run: TrainRun, data: Path, out: Path, *extra: Callback) -> Path:
    """Train ``run`` as the command line does, with more callbacks; returns its folder."""
    workspace, plain = small_runs.workspace(data, out), build.trainer
    stages.prepare_data(workspace, [run])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "trainer", lambda config, folder, c: plain(config, folder, [*extra, *c]))
        stages.do(workspace, run, [])
    return workspace.runs / run.name


def half_trained(run: TrainRun, data: Path, out: Path, step: int) -> Path:
    with pytest.raises(ZeroDivisionError):
        train(run, data, out, Stop(step, ZeroDivisionError()))
    return out / "smoke" / run.name


def assert_same(folder: Path, whole: Path) -> None:
    assert (folder / build.WEIGHTS).read_bytes() == (whole / build.WEIGHTS).read_bytes()
    assert (folder / "loss.csv").read_text() == (whole / "loss.csv").read_text()


@pytest.mark.parametrize("regime", REGIMES)
def test_training_stopped_and_resumed_is_the_same_bit_for_bit(tmp_path, data, regime) -> None:
    run = small_runs.expert(steps=40, checkpoint_every=15, **REGIMES[regime])
    whole = train(run, data, tmp_path / "whole")
    folder = half_trained(run, data, tmp_path / "stopped", 23)  # 15 is stored; row 20 of the curve is behind it
    assert (folder / "failed.txt").exists()
    train(run, data, tmp_path / "stopped")
    assert_same(folder, whole)
    assert [row.split(",")[0] for row in (whole / "loss.csv").read_text().split()] == ["step", "10", "20", "30", "40"]
    assert not (folder / "failed.txt").exists()
    assert not list(folder.rglob("*.ckpt"))


def test_stored_weights_are_the_average(tmp_path, data) -> None:
    last: dict[str, torch.Tensor] = {}

    class Keep(Callback):
        def on_train_end(self, trainer, module) -> None:
            last.update({k: v.clone() for k, v in module.state_dict().items()})

    run = small_runs.expert(steps=12)
    train(run, data, tmp_path, Keep())
    stored = build.trained(run, tmp_path / "smoke").state_dict()
    assert stored.keys() == last.keys()
    assert not torch.equal(stored["network.out_conv.weight"], last["network.out_conv.weight"])


@pytest.mark.parametrize("kept_bytes", [0, 5000])
def test_a_damaged_newest_checkpoint_falls_back_with_a_warning(tmp_path, data, kept_bytes) -> None:
    run = small_runs.expert(steps=40)
    whole = train(run, data, tmp_path / "whole")
    folder = half_trained(run, data, tmp_path / "stopped", 25)
    newest = newest_checkpoint(folder)
    assert newest is not None
    assert newest.name == "step=20.ckpt"
    os.truncate(newest, kept_bytes)
    with pytest.warns(UserWarning, match=r"step=20.ckpt cannot be read .* going back to the checkpoint before it"):
        assert newest_checkpoint(folder) == folder / "checkpoints" / "step=10.ckpt"
    with pytest.warns(UserWarning, match="going back"):
        train(run, data, tmp_path / "stopped")
    assert_same(folder, whole)


@pytest.mark.filterwarnings("ignore:.*cannot be read")
def test_without_any_readable_checkpoint_training_starts_again(tmp_path, data) -> None:
    run = small_runs.expert(steps=20, checkpoint_every=5)
    whole = train(run, data, tmp_path / "whole")
    folder = half_trained(run, data, tmp_path / "stopped", 12)
    for checkpoint in folder.rglob("*.ckpt"):
        os.truncate(checkpoint, 100)
    assert newest_checkpoint(folder) is None
    train(run, data, tmp_path / "stopped")
    assert_same(folder, whole)


def test_stopped_between_the_last_step_and_the_weights(tmp_path, data, monkeypatch) -> None:
    run = small_runs.expert(steps=20)
    whole = train(run, data, tmp_path / "whole")

    def killed(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(stages.checkpoints, "save_weights", killed)
        with pytest.raises(ZeroDivisionError):
            train(run, data, tmp_path / "stopped")
    assert_same(train(run, data, tmp_path / "stopped"), whole)


def start(data: Path, out: Path) -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tests" / "small_runs.py"), str(data), str(out)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def kill_when(data: Path, out: Path, moment: Callable[[], bool]) -> None:
    """Start the runs and kill the process, which has no chance to tidy up, as soon as ``moment`` has come."""
    process, end = start(data, out), time.monotonic() + 120
    while not moment() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.communicate()[1]


def finish(process: subprocess.Popen) -> None:
    errors = process.communicate(timeout=180)[1]
    assert process.returncode == 0, errors


def test_killed_in_training_sampling_and_scoring(tmp_path, data) -> None:
    """SIGKILL once in each stage, in one chain; then a last call finishes, and every number is that of a run undisturbed."""
    whole, out = tmp_path / "whole" / "smoke", tmp_path / "killed" / "smoke"
    undisturbed = start(data, whole.parent)
    kill_when(data, out.parent, lambda: (out / "expert" / "checkpoints" / "step=30.ckpt").exists())
    assert not (out / "expert" / build.WEIGHTS).exists()
    kill_when(data, out.parent, lambda: (out / "samples" / "samples" / "00002.npy").exists())
    shards = {p.name: p.stat().st_mtime_ns for p in (out / "samples" / "samples").glob("*.npy")}
    assert 0 < len([name for name in shards if name[0] != "."]) < 8
    kill_when(data, out.parent, lambda: (out / "samples" / "metrics.json").exists())
    assert stages.scoring.missing(out / "samples", small_runs.PROTOCOLS)
    finish(start(data, out.parent))
    finish(undisturbed)
    for name in ("expert/loss.csv", f"expert/{build.WEIGHTS}", "samples/metrics.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    for number in range(8):
        shard = f"samples/samples/{number:05d}.npy"
        assert (out / shard).read_bytes() == (whole / shard).read_bytes()
    for name, modified in shards.items():
        if name[0] != ".":  # a temporary file of the killed process
            assert (out / "samples" / "samples" / name).stat().st_mtime_ns == modified, (
                "a finished shard was made again"
            )
