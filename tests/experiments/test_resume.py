"""Whatever stops a run, running it again gives the numbers of a run that nothing stopped."""

import errno
import os
import signal
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_runs
import torch
from lightning import Callback
from small_runs import Stop, train

from experiments.core import build
from experiments.engine import stages
from experiments.runs import TrainRun
from lightning_mmdiff.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints
from lightning_mmdiff.runtime import interruption
from lightning_mmdiff.runtime.checkpoints import newest_checkpoint
from lightning_mmdiff.runtime.locks import WorkLocks

pytestmark = pytest.mark.usefixtures("one_thread")

REGIMES = {
    "one data set": {"data": (small_runs.HAIR,)},
    "combined": {"data": (small_runs.HAIR, small_runs.SKIN)},
    "fine-tuning": {"data": (small_runs.HAIR, small_runs.SKIN), "regime": "fine_tuning", "switch_step": 18},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


def half_trained(run: TrainRun, data: Path, out: Path, step: int) -> Path:
    with pytest.raises(ZeroDivisionError):
        train(run, data, out, Stop(step))
    return out / "smoke" / run.name


def assert_same(folder: Path, whole: Path) -> None:
    assert (folder / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert (folder / "loss.csv").read_text() == (whole / "loss.csv").read_text()


@pytest.mark.parametrize("regime", REGIMES)
def test_training_stopped_and_resumed_is_the_same_bit_for_bit(tmp_path, data, regime) -> None:
    run = small_runs.expert(steps=40, checkpoint_every=15, **REGIMES[regime])
    whole = train(run, data, tmp_path / "whole").path
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


RUN = small_runs.expert(steps=40)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data) -> Path:
    """Folder of ``RUN``, undisturbed."""
    return train(RUN, data, tmp_path_factory.mktemp("whole")).path


def truncated(path: Path, size: int) -> None:
    os.truncate(path, size)


def flipped(path: Path, place: int) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(("damage", "place"), [(truncated, 5000), (flipped, 20000)])
def test_a_damaged_newest_checkpoint_falls_back_with_a_warning(tmp_path, data, whole, damage, place) -> None:
    folder = half_trained(RUN, data, tmp_path / "stopped", 25)
    newest = newest_checkpoint(folder)
    assert newest is not None
    assert newest.name == "step=20.ckpt"
    damage(newest, place)
    with pytest.warns(UserWarning, match=r"step=20.ckpt cannot be read .* going back to the checkpoint before it"):
        assert newest_checkpoint(folder) == folder / "checkpoints" / "step=10.ckpt"
    with pytest.warns(UserWarning, match="going back"):
        train(RUN, data, tmp_path / "stopped")
    assert_same(folder, whole)


def test_every_flipped_bit_that_matters_is_found(tmp_path) -> None:
    """Where the checksums miss a flipped bit, the checkpoint still loads to the same values."""
    state = {"weight": torch.randn(100, generator=torch.Generator().manual_seed(0)), "step": 3}
    path = tmp_path / "checkpoints" / "step=3.ckpt"
    AtomicCheckpointIO().save_checkpoint(state, path)
    content, found = path.read_bytes(), 0
    for place in range(0, len(content), 5):
        flipped(path, place)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if newest_checkpoint(tmp_path) is None:
                found += 1
            else:
                loaded = torch.load(path, weights_only=True)
                assert torch.equal(loaded["weight"], state["weight"])
                assert loaded["step"] == 3
        path.write_bytes(content)
    assert found > 400 / 5  # the tensor alone has 400 bytes


class Signal(Callback):
    """Send a signal to this process in the middle of a step."""

    def __init__(self, step: int, number: signal.Signals):
        self.step, self.number = step, number

    def on_train_batch_start(self, trainer, *_) -> None:
        if trainer.global_step == self.step - 1:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [*interruption.SIGNALS, signal.SIGINT])
def test_a_signal_saves_at_the_end_of_the_step(tmp_path, data, whole, number) -> None:
    listened = (*interruption.SIGNALS, signal.SIGINT)
    before = [signal.getsignal(n) for n in listened]
    with interruption.raising(), pytest.raises(interruption.Interrupted, match=number.name) as stop:
        train(RUN, data, tmp_path, Signal(23, number))
    assert stop.value.signum == number
    assert [signal.getsignal(n) for n in listened] == before
    folder = tmp_path / "smoke" / RUN.name
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["step=20.ckpt", "step=23.ckpt"]
    assert not (folder / "failed.txt").exists()
    assert not WorkLocks(folder / ".locks").holder("train")
    train(RUN, data, tmp_path)
    assert_same(folder, whole)


def test_a_second_ctrl_c_does_not_wait_for_the_step() -> None:
    heard: list[int] = []
    with interruption.raising():
        before = signal.getsignal(signal.SIGINT)
        try:
            interruption.listen(heard.append, ctrl_c=True)
            os.kill(os.getpid(), signal.SIGINT)
            assert heard == [signal.SIGINT]
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, before)


def test_resumed_with_another_number_of_workers(tmp_path, data, whole, monkeypatch) -> None:
    folder = half_trained(RUN, data, tmp_path, 25)
    monkeypatch.setenv("MMDIFF_LOADER_WORKERS", "2")
    assert stages.training_data(RUN, data).num_workers == 2
    train(RUN, data, tmp_path)
    assert_same(folder, whole)


class SlowTrainer:
    """What ``Checkpoints`` sees of a trainer whose steps take 30 s, the first checkpoint 6 s and the others 18 s."""

    is_global_zero = True

    def __init__(self) -> None:
        self.now, self.saved = 0.0, []
        self.total = SimpleNamespace(processed=0)
        progress = SimpleNamespace(total=self.total)
        self.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
        self.strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)

    def save_checkpoint(self, path: Path) -> None:
        self.now += 18 if self.saved else 6
        self.saved.append(self.total.processed)


@pytest.mark.parametrize(("every", "saved"), [(10**6, [31, 62, 123, 184]), (10, [10, 30, 90, 150])])
def test_checkpoints_cost_at_most_one_percent(tmp_path, monkeypatch, every, saved) -> None:
    """By the clock a quarter of an hour passes between two, by steps 300 s; both give way to 100 times what one takes."""
    trainer, saver = SlowTrainer(), Checkpoints(tmp_path, every=every, minutes=15)
    monkeypatch.setattr("lightning_mmdiff.callbacks.checkpoints.time.monotonic", lambda: trainer.now)
    monkeypatch.setattr(interruption, "listen", lambda *_, **__: None)
    saver.on_train_start(trainer, None)
    for trainer.total.processed in range(1, 200):
        trainer.now += 30
        saver.on_train_batch_end(trainer, None)
    assert trainer.saved == saved


def test_a_checkpoint_that_fails_half_way_leaves_the_older_one(tmp_path, data, whole, monkeypatch) -> None:
    plain, calls = torch.save, []

    def failing(state, file) -> None:
        plain(state, file)
        calls.append(file)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", failing)
        with pytest.raises(OSError, match="No space left"):
            train(RUN, data, tmp_path)
    folder = tmp_path / "smoke" / RUN.name
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["step=10.ckpt"]
    train(RUN, data, tmp_path)
    assert_same(folder, whole)


@pytest.mark.filterwarnings("ignore:.*cannot be read")
def test_without_any_readable_checkpoint_training_starts_again(tmp_path, data) -> None:
    run = small_runs.expert(steps=20, checkpoint_every=5)
    whole = train(run, data, tmp_path / "whole").path
    folder = half_trained(run, data, tmp_path / "stopped", 12)
    for checkpoint in folder.rglob("*.ckpt"):
        os.truncate(checkpoint, 100)
    assert newest_checkpoint(folder) is None
    train(run, data, tmp_path / "stopped")
    assert_same(folder, whole)


def test_stopped_between_the_last_step_and_the_weights(tmp_path, data, monkeypatch) -> None:
    run = small_runs.expert(steps=20)
    whole = train(run, data, tmp_path / "whole").path

    def killed(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(stages.checkpoints, "save_weights", killed)
        with pytest.raises(ZeroDivisionError):
            train(run, data, tmp_path / "stopped")
    assert_same(train(run, data, tmp_path / "stopped").path, whole)
