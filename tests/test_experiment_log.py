"""--logger: TensorBoard and Weights & Biases get what loss.csv gets, resume where the training does, and change nothing."""

import csv
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small_runs import do, expert, workspace, write_data
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.core.workspace import prepare_data
from lightning_mmdiff.callbacks import experiment_log
from lightning_mmdiff.callbacks.experiment_log import ExperimentLog
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def read(folder) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"images": 0})
    found.Reload()
    return found


def test_tensorboard_has_the_curve_and_images_and_the_weights_are_the_same(tmp_path, data) -> None:
    run = expert(steps=20)
    weights = {}
    for kind in ("csv", "tensorboard"):
        space = replace(workspace(data, tmp_path / kind), logger=kind)
        prepare_data(space, [run])
        do(space, run)
        weights[kind] = checkpoints.load_tensors(RunFolder(space.runs / run.name).weights)
    assert all(torch.equal(value, weights["csv"][name]) for name, value in weights["tensorboard"].items())
    assert not (tmp_path / "csv" / "smoke" / run.name / "tensorboard").exists()
    folder = tmp_path / "tensorboard" / "smoke" / run.name
    found = read(folder / "tensorboard")
    with (folder / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {event.step: event.value for event in found.Scalars("loss")}
    assert logged == pytest.approx({int(row["step"]): float(row["loss"]) for row in rows}, rel=1e-4)
    assert [event.step for event in found.Images("samples")] == [4, 8, 12, 16, 20]


def test_a_resumed_training_replaces_what_came_after_its_checkpoint(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(experiment_log, "steps_done", lambda trainer: trainer.step)
    for first, rows in ((0, {10: 1.0, 20: 2.0, 30: 3.0}), (20, {30: 4.0, 40: 5.0})):
        log = ExperimentLog("tensorboard", tmp_path, every=100)
        log.on_train_start(SimpleNamespace(is_global_zero=True, step=first), None)
        for step, value in rows.items():
            log.write(step, {"loss": value})
        log.on_exception(None, None, KeyboardInterrupt())
    found = read(tmp_path / "tensorboard")
    assert {event.step: event.value for event in found.Scalars("loss")} == {10: 1.0, 20: 2.0, 30: 4.0, 40: 5.0}


def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(experiment_log, "steps_done", lambda trainer: 0)
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr(experiment_log, "WandbLogger", lambda **_: __import__("wandb"))
    with pytest.raises(UserError, match="pip install wandb"):
        ExperimentLog("wandb", tmp_path, every=1).on_train_start(SimpleNamespace(is_global_zero=True), None)


@pytest.mark.slow
def test_wandb_writes_an_offline_run(tmp_path, data, monkeypatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = expert(steps=10)
    space = replace(workspace(data, tmp_path / "out"), logger="wandb")
    prepare_data(space, [run])
    do(space, run)
    (file,) = (space.runs / run.name / "wandb").glob("offline-run-*/*.wandb")
    assert file.stat().st_size > 0
