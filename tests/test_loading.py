"""Models come back from a run's folder and from a Lightning checkpoint, with the helpers that lie beside them."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from tiny import tiny_config, tiny_denoiser

import lightning_mmdiff
from experiments import INDEX
from experiments.core import build
from experiments.recipes.unite_and_conquer import hair_expert, text_expert
from experiments.runs import TrainRun
from experiments.spec import plan
from lightning_mmdiff.configs import as_json, from_json
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.loading import MODELS, config_of, load
from lightning_mmdiff.methods.learned_reliability import LearnedReliability
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.run_folder import RunFolder


def write(run: TrainRun, runs: Path) -> Path:
    """Write a run's folder, and those of its helpers, with initial weights."""
    for need in run.needs:
        write(need, runs)
    folder = RunFolder(runs / run.name)
    write_json(folder.config, {**as_json(run), "fingerprints": {}})
    checkpoints.save_weights(build.model(run, runs), folder.weights, {})
    return folder.path


@pytest.mark.parametrize("profile", ["smoke", "mini", "paper"])
def test_the_model_config_of_every_run_comes_back(profile) -> None:
    tables = [importlib.import_module(f"experiments.{entry.name}").table(profile, 0) for entry in INDEX]
    models = {run.model for table in tables for run in plan([table]) if isinstance(run, TrainRun)}
    assert len(models) > 20
    assert {type(model) for model in models} <= set(MODELS)
    for model in models:
        assert from_json(ModelConfig, json.loads(json.dumps(as_json(model)))) == model


@pytest.mark.parametrize("recipe", [hair_expert, text_expert])
def test_a_run_folder_is_enough(tmp_path, recipe) -> None:
    """The text expert needs its embedder, which lies beside it."""
    run = recipe("smoke", 0)
    folder = write(run, tmp_path)
    model, known = lightning_mmdiff.load(str(folder)), build.trained(run, tmp_path)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert model.state_dict().keys() == known.state_dict().keys()
    assert all(torch.equal(value, known.state_dict()[name]) for name, value in model.state_dict().items())
    assert config_of(folder) == run.model


def test_weights_in_half_precision_load_as_single(tmp_path) -> None:
    folder = write(hair_expert("smoke", 0), tmp_path)
    weights = checkpoints.load_tensors(RunFolder(folder).weights)
    checkpoints.save_tensors({name: value.half() for name, value in weights.items()}, RunFolder(folder).weights)
    model = load(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    torch.testing.assert_close(model.state_dict(), weights, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.pop("model"), "has no model"),
        (lambda c: c["model"].update(type="DenoiserConfg"), "'DenoiserConfg'.*did you mean 'DenoiserConfig'"),
        (lambda c: c["model"].update(colour="red"), "no field colour"),
        (lambda c: c["model"]["network"].update(channels=32), "another architecture"),
    ],
)
def test_settings_that_cannot_be_read_are_a_sentence(tmp_path, change, sentence) -> None:
    folder = write(hair_expert("smoke", 0), tmp_path)
    config = json.loads(RunFolder(folder).config.read_text())
    change(config)
    write_json(RunFolder(folder).config, config)
    with pytest.raises(UserError, match=sentence):
        load(folder)


def test_what_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(MissingFileError, match="config.json is missing"):
        load(tmp_path / "nothing")
    folder = write(text_expert("smoke", 0), tmp_path)
    RunFolder(tmp_path / "image-text-model").config.unlink()
    with pytest.raises(MissingFileError, match="image-text-model"):
        load(folder)


def test_a_lightning_checkpoint_is_enough(tmp_path) -> None:
    model = tiny_denoiser()
    trainer = Trainer(logger=False, enable_checkpointing=False, barebones=True)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = Denoiser.load_from_checkpoint(tmp_path / "a.ckpt")
    assert again.config == tiny_config()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    with pytest.raises(UserError, match="is a Denoiser, not a LearnedReliability"):
        LearnedReliability.load_from_checkpoint(tmp_path / "a.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "b.ckpt")
    with pytest.raises(UserError, match="has no config"):
        Denoiser.load_from_checkpoint(tmp_path / "b.ckpt")


def test_the_package_imports_without_torch_and_names_what_it_has() -> None:
    code = "import lightning_mmdiff, sys; assert 'torch' not in sys.modules; print(*lightning_mmdiff.__all__)"
    root = Path(lightning_mmdiff.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    for name in done.stdout.split():
        assert getattr(lightning_mmdiff, name).__doc__
    assert set(done.stdout.split()) <= set(dir(lightning_mmdiff))
    with pytest.raises(AttributeError, match="no attribute 'Denoisr'"):
        lightning_mmdiff.Denoisr  # noqa: B018
