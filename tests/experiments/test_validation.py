"""The loss on held-out images: in loss.csv with its parts, the same draws every time, and no trace in the weights."""

import csv
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_runs
import torch
from tiny import tiny_config, tiny_denoiser

from datamodules.batches.masking import MaskConfig
from datamodules.batches.steps import HeldOut
from datamodules.config import DataConfig
from datamodules.mini.image_layouts import write_imagenet
from datamodules.mini.layouts import write_celebamask_hq
from experiments.core import build
from experiments.core.workspace import Workspace, prepare_data, training_data
from experiments.runs import TrainRun
from lightning_mmdiff import seeding
from lightning_mmdiff.callbacks.loss_curve import LossCurve
from lightning_mmdiff.callbacks.validation import Validation
from lightning_mmdiff.methods.learned_reliability import ReliabilityConfig
from lightning_mmdiff.methods.mt_diffusion.modalities import Label, MaskedImage
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.networks.vae import VAEConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime.checkpoints import load_weights

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 12
FACES = replace(small_runs.HAIR, conditions=("hair", "skin"))
LARGE = DataConfig(dataset="celebamask_hq", image_size=32)
OBJECTS = DataConfig(
    dataset="imagenet", image_size=16, conditions=("masked_image", "label"), masks=MaskConfig(low=0, high=5, patch=4)
)
TASKS = MTDiffusionConfig(
    network=replace(tiny_config(spatial=(("masked_image", 3),), learned_variance=True).network, num_classes=10),
    image_size=16, learned_variance=True, optimizer=OptimizerConfig(lr=1e-3),
    modalities=(MaskedImage(concatenate=True), Label(num_classes=10, hide_fraction=0.5, renew_every=3)),
)  # fmt: skip
AUTOENCODER = AutoencoderConfig(
    vae=VAEConfig(image_size=32, channels=(4, 8), num_res_blocks=1, norm_groups=4), perceptual_weight=0.0,
    adversarial_start=5, optimizer=OptimizerConfig(lr=1e-3),
)  # fmt: skip
EXPERT = small_runs.expert(steps=STEPS, data=(FACES,))


def training(model: ModelConfig, data: DataConfig, **options) -> TrainRun:
    return replace(EXPERT, name="other", model=model, data=(data,), **options)


RUNS = {
    "dropout": EXPERT,
    "several tasks": training(TASKS, OBJECTS),
    "generator and discriminator": training(AUTOENCODER, LARGE),
    "state beside the weights": training(
        ReliabilityConfig(conditions=(("hair",), ("skin",))), FACES, experts=(EXPERT, EXPERT)
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    small_runs.write_data(root)
    write_imagenet(root / "imagenet", count=20, image_size=16)
    write_celebamask_hq(root / "large" / "CelebAMask-HQ", count=20, image_size=32)
    return root


def place(run: TrainRun, data: Path, out: Path) -> Workspace:
    return small_runs.workspace(data / "large" if run.data == (LARGE,) else data, out)


def train(run: TrainRun, data: Path, out: Path, *, every: int) -> Path:
    run = replace(run, trainer=replace(run.trainer, validate_every=every))
    workspace = place(run, data, out)
    prepare_data(workspace, [run, *run.needs])
    small_runs.do(workspace, *run.needs, run)
    return workspace.runs / run.name


def columns(folder: Path) -> dict[str, list[str]]:
    rows = list(csv.DictReader((folder / "loss.csv").read_text().splitlines()))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("kind", RUNS)
def test_weights_are_those_of_a_training_without_it(tmp_path, data, kind, monkeypatch) -> None:
    often = train(RUNS[kind], data, tmp_path / "often", every=1)
    monkeypatch.setattr("lightning_mmdiff.callbacks.validation.Validation.is_due", lambda *_: False)
    never = train(RUNS[kind], data, tmp_path / "never", every=1)
    assert (often / "weights.safetensors").read_bytes() == (never / "weights.safetensors").read_bytes()
    found = columns(often)
    assert found["step"] == [str(step) for step in range(1, STEPS + 1)]
    assert len({*found["held_out_loss"]}) == STEPS  # the model changes
    assert [name for name in columns(never) if name.startswith("held_out_")] == []


def test_the_parts_are_columns_that_sum_to_the_loss(tmp_path, data) -> None:
    parts = {
        "several tasks": ["simple", "bound", "masked_image", "label"],
        "generator and discriminator": ["reconstruction", "perceptual", "kl", "generator", "discriminator"],
    }
    for kind, names in parts.items():
        found = columns(train(RUNS[kind], data, tmp_path / kind, every=4))
        assert list(found) == ["step", "loss", *names, "held_out_loss", *(f"held_out_{name}" for name in names)]
        for start in ("", "held_out_"):
            rows = [
                [float(found[start + n][i]) for n in ("loss", *names)] for i in range(4) if found[start + "loss"][i]
            ]
            for loss, *terms in rows:
                assert sum(terms) == pytest.approx(loss, rel=1e-4)
        assert [step for step, loss in zip(found["step"], found["held_out_loss"]) if loss] == ["4", "8", "12"]
        assert found["step"] == ["4", "8", "10", "12"]
    adversarial = [float(value) for value in found["discriminator"]]
    assert adversarial[0] == 0 < min(adversarial[1:])  # from step 5 on


def test_only_one_loss_has_no_parts(tmp_path, data) -> None:
    found = columns(train(EXPERT, data, tmp_path, every=100))
    assert list(found) == ["step", "loss", "held_out_loss"]
    assert (found["step"], found["held_out_loss"][0]) == (["10", "12"], "")  # the last step always has one


def test_the_value_is_the_mean_over_fixed_test_images_with_fixed_draws(tmp_path, data) -> None:
    run = replace(EXPERT, trainer=replace(EXPERT.trainer, ema_decay=None))
    found = columns(train(run, data, tmp_path, every=100))
    workspace = place(run, data, tmp_path)
    module = training_data(run, workspace.data, workspace.cache)
    module.setup()
    batches = list(module.held_out(run.rows))
    assert [len(batch["index"]) for batch in batches] == [4]  # all test images
    model = build.model(run, None)
    load_weights(model, tmp_path / "smoke" / "expert" / "weights.safetensors")
    with torch.no_grad():
        expected = model.eval().loss(batches[0], seeding.generator("held out", 0))
    assert float(found["held_out_loss"][-1]) == pytest.approx(expected.item(), rel=1e-5)


class Process:
    """What a trainer is to a validation, in one process of several."""

    def __init__(self, rank: int, count: int) -> None:
        self.global_rank, self.world_size = rank, count
        self.strategy = SimpleNamespace(batch_to_device=lambda batch, _: batch, reduce=lambda value, reduce_op: value)
        self.precision_plugin = SimpleNamespace(val_step_context=nullcontext)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_processes_divide_the_batches_and_add_up_to_the_value_of_one(count) -> None:
    model = tiny_denoiser(learned_variance=True)
    g = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (size, 3, 8, 8), generator=g, dtype=torch.uint8) for size in (4, 4, 4, 1)]
    validation = Validation(lambda: [{"image": image} for image in images], every=1, last=1)
    whole = validation.measure(Process(0, 1), model)
    shares = [validation.measure(Process(rank, count), model) for rank in range(count)]
    assert list(whole) == ["loss", "simple", "bound"]
    for name, value in whole.items():
        assert sum(share[name] for share in shares) == pytest.approx(value, rel=1e-5)
    assert Validation(list, every=1, last=1).measure(Process(0, count), model) == {}
    assert model.network.training is False


class Numbers:
    """A split whose batch is its numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: list[int]) -> dict:
        return {"index": indices, "split": self}


@pytest.mark.parametrize(("counts", "rows", "sizes"), [
    ((500,), 16, [16] * 4), ((500,), 24, [24] * 3), ((500,), 256, [256]), ((20,), 16, [16, 4]),
    ((500, 500), 16, [16] * 4), ((500, 3), 16, [16, 3, 16]),
])  # fmt: skip
def test_held_out_images_are_different_ones_and_always_the_same(counts, rows, sizes) -> None:
    splits = [Numbers(count) for count in counts]
    batches = [batch for batch in HeldOut(splits, rows)]
    assert [len(batch["index"]) for batch in batches] == sizes
    for split in splits:
        chosen = [i for batch in batches if batch["split"] is split for i in batch["index"]]
        assert len(chosen) == len(set(chosen)) > 0
        assert chosen != sorted(chosen)
    assert batches == list(HeldOut(splits, rows))


def step(curve: LossCurve, number: int, **logged: float) -> None:
    """End training step ``number``."""
    values = {name: torch.tensor(value) for name, value in logged.items()}
    progress = SimpleNamespace(total=SimpleNamespace(processed=number))
    curve.on_train_batch_end(
        SimpleNamespace(
            is_global_zero=True, callback_metrics=values, strategy=SimpleNamespace(reduce=lambda x, reduce_op: x),
            fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
        ),
        None,
    )  # fmt: skip


def test_the_rows_of_a_checkpoint_are_written_again_though_the_file_lacks_them(tmp_path) -> None:
    """The process that saved it was taken for dead at step 20, and went on to the end of the step."""
    path, here = tmp_path / "loss.csv", SimpleNamespace(is_global_zero=True)
    lost = LossCurve(path, may_write=lambda: len(lost._rows) < 2)
    lost.on_train_start(here, None)
    step(lost, 10, loss=0.5)
    step(lost, 15, loss=0.4)
    step(lost, 20, loss=0.25, kl=0.1)
    assert path.read_text() == "step,loss\n10,0.5\n"
    path.write_text("step,lo")
    resumed = LossCurve(path)
    resumed.load_state_dict(lost.state_dict())
    resumed.on_train_start(here, None)
    assert path.read_text() == "step,loss,kl\n10,0.5,\n20,0.25,0.1\n"
    step(resumed, 30, loss=0.2)
    whole = "step,loss,kl\n10,0.5,\n20,0.25,0.1\n30,0.2,\n"
    assert path.read_text() == whole
    path.write_text("step,loss\n")
    resumed.on_train_end(here, None)
    assert path.read_text() == whole
