"""Edits as runs: all edits of an image are made while its networks are there, and what they take is known beforehand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_runs
import torch
from tiny import tiny_config

from datamodules.config import DataConfig
from experiments import doctor, editing
from experiments.core import build, costs, edits, space
from experiments.core.workspace import Workspace
from experiments.engine import stages
from experiments.recipes import collaborative
from experiments.runs import SampleRun, TrainerConfig, TrainRun
from experiments.spec import Row, Table, plan
from lightning_mmdiff.methods.collaborative import editing as editors
from lightning_mmdiff.methods.collaborative.editing import EditTogether
from lightning_mmdiff.methods.collaborative.imagic import ImagicConfig
from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig, Collaborator
from lightning_mmdiff.networks.unet import UNet
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime.checkpoints import save_weights
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.schedules import Sampler

pytestmark = pytest.mark.usefixtures("one_thread")

MAPS = ("hair", "skin")
QUICK = ImagicConfig(
    condition_steps=2, condition_optimizer=OptimizerConfig(lr=0.5), network_steps=2, batch_size=2, checkpoint_every=2
)  # fmt: skip


def data(*conditions: str) -> DataConfig:
    return DataConfig(dataset="celebamask_hq", image_size=16, conditions=conditions)


def train_run(name: str, model, **helpers) -> TrainRun:
    trainer = TrainerConfig(max_steps=1, checkpoint_every=1)
    return TrainRun(name=name, model=model, data=(data(*MAPS),), batch_size=4, trainer=trainer, **helpers)


EXPERTS = tuple(train_run(name, tiny_config(spatial=((name, 1),), image_size=16)) for name in MAPS)
NETWORK = replace(tiny_config().network, out_channels=1)
DIFFUSERS = train_run(
    "diffusers",
    CollaborativeConfig(collaborators=tuple(Collaborator(conditions=(name,), network=NETWORK) for name in MAPS)),
    experts=EXPERTS,
)


def edit(name: str, alpha: float = 1.0, *, modality: int | None = None, keep_networks: bool = False) -> SampleRun:
    method = EditTogether(
        model=DIFFUSERS, name="edits", imagic=QUICK, alpha=alpha, modality=modality, keep_networks=keep_networks
    )
    sampler = Sampler(name="ddim", num_steps=2)
    return SampleRun(name=name, method=method, data=data(*MAPS), num_images=3, shard_size=2, sampler=sampler)


def table(**options) -> Table:
    """Both together at two strengths, and each alone."""
    rows = (edit("both", **options), edit("weak", 0.5, **options))
    rows += tuple(edit(name, modality=number, **options) for number, name in enumerate(MAPS))
    first = small_runs.table_of(rows[0], ("SSIM",))
    return replace(first, rows=tuple(Row(label=run.name, sample=run) for run in rows))


def workspace(tmp_path: Path) -> Workspace:
    """Data, and random weights of all models."""
    found = small_runs.workspace(small_runs.write_data(tmp_path / "data"), tmp_path / "runs")
    found.open(data(*MAPS)).prepare_data()
    for seed, run in enumerate((*EXPERTS, DIFFUSERS)):
        module, generator = build.model(run, found.runs), torch.Generator().manual_seed(seed)
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
        save_weights(module, RunFolder(found.runs / run.name).weights, {})
    return found


def test_every_edit_of_an_image_is_made_with_the_first_and_only_images_stay(tmp_path, monkeypatch) -> None:
    here, rows = workspace(tmp_path), [row.sample for row in table().rows]
    first, *others = rows
    stages.sample(here, first, [table()])
    assert sorted(p.name for p in (here.runs / "edits" / "00002").iterdir()) == [
        "both.npy", "edit.json", "hair.npy", "skin.npy", "weak.npy"
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(editors, "fit", None)  # nothing is left to train
        for run in others:
            stages.sample(here, run, [table()])
    found = {run.name: np.concatenate([np.load(p) for p in shards(here, run)]) for run in rows}
    assert found["both"].shape == (3, 3, 16, 16)
    for name, images in found.items():
        assert not any((images == other).all() for key, other in found.items() if key != name), name
    alone = replace(here, runs=tmp_path / "alone")  # a row by itself, which knows of no other
    for run in (*EXPERTS, DIFFUSERS):
        save_weights(build.trained(run, here.runs), RunFolder(alone.runs / run.name).weights, {})
    stages.sample(alone, others[0])
    assert (np.concatenate([np.load(p) for p in shards(alone, others[0])]) == found["weak"]).all()


def shards(where: Workspace, run: SampleRun) -> list[Path]:
    return sorted(RunFolder(where.runs / run.name).samples.glob("*.npy"))


def test_networks_stay_if_that_is_chosen_and_a_later_edit_trains_nothing(tmp_path, monkeypatch) -> None:
    here, run = workspace(tmp_path), edit("both", keep_networks=True)
    stages.sample(here, run)
    parts = {
        p.relative_to(here.runs / "edits" / "00000") for p in (here.runs / "edits" / "00000").rglob("*.safetensors")
    }
    assert parts == {Path(n) / f"{part}.safetensors" for n in "01" for part in ("conditions", "network")}
    monkeypatch.setattr(editors, "fit", None)
    stages.sample(here, edit("later", 2.0, keep_networks=True))
    stored = space._of_preparation(run.method.preparation, run.num_images)
    size = sum(p.numel() for p in UNet(EXPERTS[0].model.network).parameters())
    assert stored == 3 * 2 * 4 * size + 48 * size
    assert sum(p.stat().st_size for p in (here.runs / "edits").rglob("network.safetensors")) == pytest.approx(
        3 * 2 * 4 * size, rel=0.3
    )  # with the names of the entries


def test_an_edit_that_was_stopped_goes_on_without_training(tmp_path, monkeypatch) -> None:
    here, rows = workspace(tmp_path), [row.sample for row in table().rows]
    picture, calls = edits._picture, []

    def dies(editor, run, number):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(run.name)
        return picture(editor, run, number)

    with monkeypatch.context() as patch:
        patch.setattr(edits, "_picture", dies)
        with pytest.raises(KeyboardInterrupt):
            stages.sample(here, rows[0], [table()])
    assert calls == ["both", "weak"]
    trained, fit = [], editors.fit
    monkeypatch.setattr(
        editors, "fit", lambda module, steps, folder: trained.append(folder) or fit(module, steps, folder)
    )
    stages.sample(here, rows[0], [table()])
    assert {folder.parents[1].name for folder in trained} == {"00001", "00002"}  # image 0 had its networks


def test_edits_of_other_images_or_samplers_are_not_made_along() -> None:
    run = edit("both")
    other = replace(run, name="other", sampler=Sampler(name="ddim", num_steps=3))
    elsewhere = replace(run, name="elsewhere", method=replace(run.method, name="more-edits"))
    weak = edit("weak", 0.5)
    assert edits.alike(run, [other, elsewhere, weak, run, small_runs.samples(EXPERTS[0])]) == [run, weak]


def test_costs_of_an_edit_in_closed_form() -> None:
    """500 + 1000 iterations for each of two experts; a step calls both experts and both dynamic diffusers, or one alone."""
    runs = {run.name: run for run in plan([editing.table("paper", 0)])}
    together, alone = runs["edit-both-1"], runs["edit-mask-1"]
    assert together.method.preparation.draws == 2 * 1500
    assert costs.evaluations(together) == 100 * (3000 * 3.5 + 50 * 4 + 20) == 1_072_000
    assert costs.evaluations(alone) == 100 * (3000 * 3.5 + 50 * 1 + 20)
    assert costs.evaluations(runs["edit-untouched"]) == 100 * 20
    in_order = costs.in_order(list(runs.values()))
    edited = {run.name: cost for run, cost in in_order.items() if isinstance(run, SampleRun)}
    assert sum(edited.values()) == 2 * 2000 + 100 * (3000 * 3.5 + 3 * 200 + 4 * 50 + 7 * 20)  # prepared once
    assert in_order[runs["mask-expert"]] == costs.evaluations(runs["mask-expert"]) == 32 * 126_562 * 3.5
    dynamic = runs["dynamic-diffusers"]
    assert costs.evaluations(dynamic) == 32 * 187_000 * (2 * 3.5 + 2)  # the experts without a backward pass


def test_every_network_of_a_combination_counts() -> None:
    mask_and_text = collaborative.mask_and_text("paper", 0)
    assert [use.run.calls_per_step for use in mask_and_text] == [1, 1]
    assert collaborative.diffusers("paper", 0).calls_per_step == 4


def test_space_of_edits_in_closed_form() -> None:
    """Two U-Nets of 403.6M parameters for each of 100 images, or for the image in work."""
    runs = [run for run in plan([editing.table("paper", 0)]) if isinstance(run, SampleRun)]
    parameters, image = 403_623_939, 3 * 256**2 + 4 * 4096
    assert space.stored_bytes(runs) == 9 * 100 * image + 2 * 4 * parameters + 3 * 16 * parameters
    kept = [
        replace(run, method=replace(run.method, keep_networks=True)) if run.method.preparation else run for run in runs
    ]
    assert space.stored_bytes(kept) - space.stored_bytes(runs) == 99 * 2 * 4 * parameters
    assert 100 * 2 * 4 * parameters / 2**30 == pytest.approx(300.7, abs=0.1)


def test_the_doctor_says_so(tmp_path, monkeypatch) -> None:
    for variable in ("MMDIFF_WEIGHTS", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    flags = doctor.DoctorFlags(table="editing", profile="paper", data=tmp_path, out=tmp_path / "runs")
    found = {f.what: f.found for f in doctor.diagnose([editing.table("paper", 0)], flags)}
    assert "about 69.7 GiB to be written" in found["space"]
    hours = 1.5 * 0.01 / 3600 * sum(costs.in_order(plan([editing.table("paper", 0)])).values())
    assert f" and {hours:,.1f} GPU hours in all" in found["hours"]
