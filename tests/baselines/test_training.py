"""Every baseline trains, stops, goes on bit for bit and samples; its losses reach the network whose turn it is, and no other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small
import small_runs
import torch
from small_runs import Stop, train
from torch import nn

from datamodules.config import DataConfig
from datamodules.mini.image_layouts import write_night2day
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq
from experiments.runs import SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff.baselines.adversarial import Generate
from lightning_mmdiff.baselines.cyclegan import BACKWARD, FORWARD, CycleGAN
from lightning_mmdiff.baselines.oasis import Oasis
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS, STOPPED = 8, 5
FACES = (small_runs.HAIR, small_runs.SKIN)
PHOTO = (DataConfig(dataset="night2day", image_size=32, conditions=("photo",)),)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_celebamask_hq(root / "CelebAMask-HQ", count=40, image_size=32, seed=0)
    write_ffhq(root / "ffhq", count=40, image_size=32, seed=0)
    write_night2day(root / "night2day", count=40, image_size=32, seed=0)
    return root


def training(name: str) -> TrainRun:
    trainer = TrainerConfig(max_steps=STEPS, checkpoint_every=2)
    model = small.CONFIGS[name]
    data = tuple(replace(d, image_size=model.image_size) for d in (PHOTO if hasattr(model, "source") else FACES))
    return TrainRun(name=name, model=model, data=data, batch_size=4, trainer=trainer)


@pytest.mark.parametrize("name", small.CONFIGS)
def test_a_stopped_training_goes_on_bit_for_bit_and_image_i_depends_on_i_alone(name: str, tmp_path, data) -> None:
    run = training(name)
    whole = train(run, data, tmp_path / "whole")
    with pytest.raises(ZeroDivisionError):
        train(run, data, tmp_path / "stopped", Stop(STOPPED))
    resumed = train(run, data, tmp_path / "stopped")
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()
    images = []
    for size in (4, 8):
        sample = SampleRun(
            name=f"images-{size}", method=Generate(model=run), data=run.data[0], num_images=8, shard_size=size, seed=3
        )
        small_runs.do(small_runs.workspace(data, tmp_path / "whole"), sample)
        shards = sorted(RunFolder(tmp_path / "whole" / "smoke" / sample.name).samples.glob("*.npy"))
        images.append(np.concatenate([np.load(shard) for shard in shards]))
    assert images[0].shape == (8, 3, *2 * (run.model.pixels,))
    assert images[0].std() > 0
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1  # convolutions of other batch sizes round otherwise


def batch(name: str) -> dict:
    draws = torch.Generator().manual_seed(1)
    size = small.CONFIGS[name].image_size

    def picture(channels: int) -> torch.Tensor:
        return torch.randint(256, (4, channels, size, size), generator=draws, dtype=torch.uint8)

    maps = {"photo": picture(3), "hair": picture(1), "skin": picture(1)}
    return {"image": picture(3), "index": torch.arange(4), "conditions": maps}


def touched(module: nn.Module) -> bool:
    return any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize("name", small.CONFIGS)
def test_each_loss_reaches_its_own_network_only(name: str) -> None:
    model = small.CONFIGS[name].build(seed=0)
    example = model.example(batch(name))
    turns: list[tuple[Callable, nn.Module, nn.Module]]
    turns = [
        (model.generator_loss, model.generator, model.discriminator),
        (model.discriminator_loss, model.discriminator, model.generator),
    ]
    for loss, own, other in reversed(turns) if model.discriminator_first else turns:
        model.zero_grad()
        loss(example, torch.Generator().manual_seed(2)).backward()
        assert touched(own)
        assert not touched(other)


@pytest.mark.parametrize("name", small.CONFIGS)
def test_a_measurement_on_held_out_images_changes_nothing_and_gives_both_losses(name: str) -> None:
    model = small.CONFIGS[name].build(seed=0).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, second = (model.held_out(batch(name), torch.Generator().manual_seed(2)) for _ in range(2))
    assert set(first) == {"loss", "discriminator_loss"}
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_cycles_of_identities_cost_nothing() -> None:
    model = small.CONFIGS["cyclegan"].build(seed=0)
    assert isinstance(model, CycleGAN)
    for name in (FORWARD, BACKWARD):
        model.generator[name] = nn.Identity()
        model.discriminator[name] = nn.Flatten()
        model.discriminator[name].forward = lambda x: torch.ones_like(x)
    assert model.generator_loss(model.example(batch("cyclegan")), torch.Generator().manual_seed(0)) == 0


def test_label_mix_of_equal_images_costs_nothing() -> None:
    """A mixture of an image with itself is that image, and its discriminator's output that of the image."""
    losses = {}
    for equal in (True, False):
        for weight in (0.0, 1e4):
            model = replace(small.CONFIGS["oasis"], mix_weight=weight).build(seed=0).eval()
            example = model.example(batch("oasis"))
            made = example.image if equal else example.image.roll(1, dims=3)
            model.generator.forward = lambda labels, z, made=made: made
            losses[equal, weight] = model.discriminator_loss(example, torch.Generator().manual_seed(3)).item()
    assert losses[True, 1e4] == pytest.approx(losses[True, 0.0], rel=1e-5)
    assert losses[False, 1e4] > losses[False, 0.0] + 1e-2


def test_images_come_from_the_average_whose_statistics_are_those_of_training_batches() -> None:
    model = small.CONFIGS["oasis"].build(seed=0)
    assert isinstance(model, Oasis)
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.add_(1)
    before = [p.clone() for p in model.average.parameters()]
    model.move_average()
    for old, now, new in zip(before, model.average.parameters(), model.generator.parameters()):
        assert torch.allclose(now, 0.9 * old + 0.1 * new)
    model.measure_statistics(iter([batch("oasis")] * 2))
    norms = [layer for layer in model.average.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert all(layer.num_batches_tracked == 2 for layer in norms)
    assert not model.average.training


def test_a_loss_that_is_no_number_ends_the_training(tmp_path, data) -> None:
    run = training("pix2pixhd")
    run = TrainRun(**{**vars(run), "model": type(run.model)(**{**vars(run.model), "feature_weight": 1e39})})
    with pytest.raises(UserError, match="loss is (inf|nan) at step 0"):
        train(run, data, tmp_path)
