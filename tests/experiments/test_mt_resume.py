"""MT-Diffusion stopped and run again, in training and in restoring, ends in the numbers of a run that nothing stopped."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import Stop, train
from tiny import tiny_config

from datamodules.batches.masking import MaskConfig
from datamodules.config import DataConfig
from datamodules.mini.image_layouts import write_imagenet
from experiments.core.workspace import Workspace, prepare_data
from experiments.engine import stages
from experiments.runs import SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff.callbacks.shards import read_images
from lightning_mmdiff.methods.mt_diffusion.modalities import Label, MaskedImage
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.methods.mt_diffusion.restoration import RestoreMasked
from lightning_mmdiff.methods.single import Denoise
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import Sampler

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 16
DATA = DataConfig(
    dataset="imagenet", image_size=16, conditions=("masked_image", "label"),
    masks=MaskConfig(low=0, high=5, patch=4, complete=0.1),
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_imagenet(root / "imagenet", count=20, image_size=16)
    return root


def training() -> TrainRun:
    """All that draws: masks, dropped and hidden labels, dropout in the network; what is carried over: rate, average, E."""
    network = replace(tiny_config(spatial=(("masked_image", 3),)).network, num_classes=10, dropout=0.1)
    model = MTDiffusionConfig(
        network=network, image_size=16, label_dropout=0.2,
        modalities=(MaskedImage(concatenate=True), Label(num_classes=10, hide_fraction=0.5, renew_every=3)),
        optimizer=OptimizerConfig(lr=1e-3, warmup_steps=3, decay_steps=STEPS),
    )  # fmt: skip
    trainer = TrainerConfig(max_steps=STEPS, ema_decay=0.9, gradient_clip_val=1.0, checkpoint_every=5)
    return TrainRun(name="mt", model=model, data=(DATA,), batch_size=4, trainer=trainer)


def restoring(method: type[Denoise] | type[RestoreMasked]) -> SampleRun:
    """Shards of four restored test images, with noise in every step."""
    return SampleRun(
        name=method.__name__, method=method(model=training()), num_images=12,
        data=replace(DATA, masks=MaskConfig(low=3, high=3, patch=4)), shard_size=4,
        sampler=Sampler(name="ddim", num_steps=4, eta=0.5),
    )  # fmt: skip


def workspace(data: Path, out: Path) -> Workspace:
    return Workspace.make("smoke", out, data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data) -> Path:
    """Output root of a training that nothing stopped."""
    out = tmp_path_factory.mktemp("whole")
    train(training(), data, out)
    return out


def test_training_stopped_and_resumed_is_the_same_bit_for_bit(tmp_path, data, whole) -> None:
    with pytest.raises(ZeroDivisionError):
        train(training(), data, tmp_path, Stop(STEPS // 2))
    folder = tmp_path / "smoke" / "mt"
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["step=5.ckpt"]
    train(training(), data, tmp_path)
    for name in ("weights.safetensors", "loss.csv"):
        assert (folder / name).read_bytes() == (whole / "smoke" / "mt" / name).read_bytes()


def images(place: Workspace, run: SampleRun) -> torch.Tensor:
    return torch.from_numpy(read_images(place.runs / run.name / "samples", run.num_images, run.shard_size))


@pytest.mark.parametrize("method", [Denoise, RestoreMasked])
def test_restoring_stopped_and_resumed_gives_the_same_images(tmp_path, data, whole, method, monkeypatch) -> None:
    run, quiet = restoring(method), workspace(data, whole)
    prepare_data(quiet, [run])
    stages.sample(quiet, run)
    stopped = replace(quiet, runs=tmp_path)
    (tmp_path / "mt").symlink_to(quiet.runs / "mt")
    calls, plain = [], MTDiffusion.predict_step

    def second_batch_fails(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise ZeroDivisionError
        return plain(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MTDiffusion, "predict_step", second_batch_fails)
        with pytest.raises(ZeroDivisionError):
            stages.sample(stopped, run)
    folder = tmp_path / run.name / "samples"
    assert len(list(folder.glob("[0-9]*.npy"))) == 1
    stages.sample(stopped, run)
    assert torch.equal(images(stopped, run), images(quiet, run))
    if method is RestoreMasked:
        opened = stopped.open(run.data)
        opened.setup()
        test = opened.test.batch(range(5))  # count=20 images to train on have 10 to test
        visible = (test["conditions"]["mask"] > 0).expand_as(test["image"])
        difference = images(stopped, run)[:5].int() - test["image"].int()
        assert difference[visible].abs().max() <= 1
        assert difference[~visible].abs().float().mean() > 5
