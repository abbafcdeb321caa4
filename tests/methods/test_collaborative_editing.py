"""Editing: each stage learns what it should and nothing else, a killed edit goes on, alpha goes from the image to the wish."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_collaborative import CHANNELS, batch, collaborative, config, experts
from tiny import randomized, tiny_denoiser
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.methods.collaborative import imagic
from lightning_mmdiff.methods.collaborative.editing import CollaborativeEditor
from lightning_mmdiff.methods.collaborative.imagic import (
    ConditionSearch,
    ImagicConfig,
    NetworkTuning,
    interpolate,
    with_own_network,
)
from lightning_mmdiff.methods.collaborative.model import Collaborative
from lightning_mmdiff.optimization import OptimizerConfig

QUICK = ImagicConfig(
    condition_steps=6, condition_optimizer=OptimizerConfig(lr=0.05), network_steps=4,
    network_optimizer=OptimizerConfig(lr=1e-3), batch_size=2, checkpoint_every=2,
)  # fmt: skip


def photo() -> Tensor:
    return batch()["image"][:1]


def wanted() -> dict:
    return {name: value[:1] for name, value in batch()["conditions"].items() if name != "sketch"}


def editor(folder: Path, **options) -> CollaborativeEditor:
    return CollaborativeEditor(collaborative(), replace(QUICK, **options), folder=folder, seed=3)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Folder of a finished edit; tests only read it."""
    folder = tmp_path_factory.mktemp("edit")
    editor(folder).prepare(photo(), wanted())
    return folder


def mean_error(denoiser, condition: Tensor) -> float:
    """Denoising error of the photo under a condition, over many draws."""
    g = torch.Generator().manual_seed(0)
    z0 = images.to_float(photo()).expand(64, -1, -1, -1)
    t, eps = torch.randint(1000, (64,), generator=g), torch.randn(z0.shape, generator=g)
    z = denoiser.schedule.add_noise(z0, eps, t)
    with torch.no_grad():
        predicted = denoiser.predict_eps(z, t, denoiser.encode({"hair": condition.expand(64, -1, -1, -1)}, 64))
    return (predicted - eps).square().mean().item()


def test_interpolation_is_equation_14() -> None:
    target, optimized = torch.tensor([1.0, 2.0]), torch.tensor([3.0, -2.0])
    assert torch.equal(interpolate(target, optimized, 0.0), optimized)
    assert torch.equal(interpolate(target, optimized, 1.0), target)
    torch.testing.assert_close(interpolate(target, optimized, 1.5), torch.tensor([0.0, 4.0]))


def test_stage_1_trains_the_condition_alone() -> None:
    denoiser, z0 = tiny_denoiser(), images.to_float(photo())
    target = {"hair": images.to_float(wanted()["hair"])}
    search = ConditionSearch(denoiser, z0, target, QUICK, seed=0)
    loss = search.loss({}, seeding.step_generator(0, 0))
    loss.backward()
    assert {n for n, p in search.named_parameters() if p.grad is not None} == {"condition.hair"}
    assert search.condition["hair"].grad.abs().sum() > 0
    assert [n for n, p in search.named_parameters() if p.requires_grad] == ["condition.hair"]

    g = seeding.step_generator(0, 0)  # Eq. 12
    t, eps = torch.randint(1000, (2,), generator=g), torch.randn(2, 3, 8, 8, generator=g)
    z = denoiser.schedule.add_noise(z0.expand(2, -1, -1, -1), eps, t)
    predicted = denoiser.network(torch.cat([z, target["hair"].expand(2, -1, -1, -1)], 1), t)
    torch.testing.assert_close(loss, (predicted - eps).square().mean())


def test_stage_2_trains_a_copy_of_the_network_alone() -> None:
    denoiser = tiny_denoiser().requires_grad_(False)
    found = {"hair": images.to_float(wanted()["hair"])}
    tuning = NetworkTuning(denoiser, images.to_float(photo()), found, QUICK, seed=0).train()
    tuning.loss({}, seeding.step_generator(0, 0)).backward()
    assert all(p.grad is not None for p in tuning.network.parameters())
    assert all(p.grad is None and not p.requires_grad for p in denoiser.parameters())
    assert tuning.denoiser.network is tuning.network is not denoiser.network
    assert not tuning.denoiser.training
    checkpoint = {"state_dict": tuning.state_dict()}
    tuning.on_save_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == {f"network.{n}" for n, _ in tuning.network.named_parameters()}


def test_the_stages_draw_different_timesteps_and_noise() -> None:
    z0, known = images.to_float(photo()), {"hair": images.to_float(wanted()["hair"])}
    first = ConditionSearch(tiny_denoiser(), z0, known, QUICK, 3)
    seconds = [NetworkTuning(tiny_denoiser(), z0, known, QUICK, seed) for seed in (3, 3, 4)]
    draws = [torch.randn(4, generator=seeding.step_generator(m.seed, 0)) for m in (first, *seconds)]
    assert not torch.equal(draws[0], draws[1])
    assert torch.equal(draws[1], draws[2])
    assert not torch.equal(draws[1], draws[3])


def test_a_resumed_tuning_gets_its_own_weights() -> None:
    """The network is reachable under two names, of which the checkpoint holds one."""
    denoiser, found = tiny_denoiser(), {"hair": images.to_float(wanted()["hair"])}
    first, second = (NetworkTuning(denoiser, images.to_float(photo()), found, QUICK, seed=0) for _ in range(2))
    randomized(first.network, seed=9)
    checkpoint = {"state_dict": first.state_dict()}
    first.on_save_checkpoint(checkpoint)
    second.on_load_checkpoint(checkpoint)
    second.load_state_dict(checkpoint["state_dict"], strict=True)
    for ours, theirs in zip(second.network.parameters(), first.network.parameters()):
        assert torch.equal(ours, theirs)


def test_only_the_network_is_copied() -> None:
    denoiser = tiny_denoiser()
    denoiser.condition_encoder.extra = torch.nn.Linear(2, 2)
    copied = with_own_network(denoiser)
    assert copied.condition_encoder is denoiser.condition_encoder
    assert copied.network is not denoiser.network
    assert {id(p) for p in copied.network.parameters()}.isdisjoint(id(p) for p in denoiser.network.parameters())


def test_both_stages_bring_the_image_closer(tmp_path) -> None:
    edit = editor(tmp_path, condition_steps=15, network_steps=15, checkpoint_every=1000)
    edit.prepare(photo(), wanted())
    original, tuned = edit.collaborative.experts[0].denoiser, edit.tuned(0)
    target, found = (edit.conditions(alpha)["hair"] for alpha in (1.0, 0.0))
    torch.testing.assert_close(target, images.to_float(wanted()["hair"]))
    errors = mean_error(original, target), mean_error(original, found), mean_error(tuned, found)
    assert errors[0] > errors[1] > errors[2]


def test_edits(prepared) -> None:
    edit = editor(prepared)
    before = edit.collaborative.predict_step(batch())
    found, maps = edit.edit(0.7, [0, 1])
    assert found.shape == (2, 3, 8, 8)
    assert maps.shape == (4, 2, 2, 8, 8)
    assert torch.equal(edit.edit(0.7, [1])[0], found[1:])  # sample 1 is sample 1
    assert not torch.equal(edit.edit(0.0, [0])[0], edit.edit(2.0, [0])[0])
    alone = edit.edit_alone(1, 0.7, [0])
    assert alone.shape == (1, 3, 8, 8)
    assert not torch.equal(alone, edit.edit_alone(0, 0.7, [0]))
    assert not list(prepared.rglob("*.ckpt"))
    assert torch.equal(edit.collaborative.predict_step(batch()), before)  # experts and diffusers are left alone


class Killed(Exception):
    pass


STOPS = [("0", "condition", 3), ("1", "tuning", 3)]
MORE_STOPS = [pytest.param(stop, marks=pytest.mark.slow) for stop in (("0", "tuning", 3), ("1", "condition", 0))]


@pytest.mark.parametrize("stop", [*STOPS, *MORE_STOPS], ids=str)
def test_a_killed_edit_ends_as_an_uninterrupted_one(prepared, tmp_path, monkeypatch, stop) -> None:
    """Killed in the middle of a stage, or between two: the files are the same bit for bit."""
    killed = editor(tmp_path)
    loss, current = imagic.Reconstruction.loss, []
    fit = imagic.fit

    def remember(module, num_steps: int, folder: Path) -> None:
        current[:] = folder.parts[-2:]
        fit(module, num_steps, folder)

    def dies(self, batch, generator) -> Tensor:
        if (*current, self.global_step) == stop:
            raise Killed
        return loss(self, batch, generator)

    monkeypatch.setattr("lightning_mmdiff.methods.collaborative.editing.fit", remember)
    with monkeypatch.context() as patch:
        patch.setattr(imagic.Reconstruction, "loss", dies)
        with pytest.raises(Killed):
            killed.prepare(photo(), wanted())
    done = {p: p.stat().st_mtime_ns for p in killed.folder.rglob("*.safetensors")}
    killed.prepare(photo(), wanted())
    assert all(p.stat().st_mtime_ns == time for p, time in done.items())  # what was finished is not done again
    for path in prepared.rglob("*.safetensors"):
        ours, theirs = load_file(killed.folder / path.relative_to(prepared)), load_file(path)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_finished_edit_runs_nothing(prepared, monkeypatch) -> None:
    monkeypatch.setattr("lightning_mmdiff.methods.collaborative.editing.fit", None)
    editor(prepared).prepare(photo(), wanted())


@pytest.mark.parametrize(
    ("image", "conditions", "message"),
    [
        (photo()[..., :4], wanted(), r"torch.uint8 \[1, 3, 8, 4\]; expected uint8 \[1, 3, 8, 8\]"),
        (photo().float(), wanted(), "expected uint8"),
        (photo(), {"hair": wanted()["hair"]}, "The edit has no skin; found hair"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, image: Tensor, conditions: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        editor(tmp_path).prepare(image, conditions)


def test_folder_of_another_edit_and_unfinished_edit(prepared, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"call prepare\(image, conditions\) first"):
        editor(tmp_path).edit(1.0, [0])
    with pytest.raises(ValueError, match=r"another edit \(other image\)"):
        editor(prepared).prepare(255 - photo(), wanted())
    with pytest.raises(ValueError, match=r"another edit \(other config\)"):
        editor(prepared, batch_size=1).prepare(photo(), wanted())


def test_every_expert_needs_a_condition_of_its_own(tmp_path) -> None:
    assert CHANNELS["hair"] == 1
    twice = Collaborative(experts("hair", "hair"), config("hair", "hair"))
    with pytest.raises(ValueError, match="Several experts are asked about hair"):
        CollaborativeEditor(twice, QUICK, folder=tmp_path)
