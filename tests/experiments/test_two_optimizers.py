"""Adversarial training: two optimizers on each batch and no sampler, stopped and resumed bit for bit.

The model is the GAN of docs/extending.md.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import small_runs
from small_runs import Stop, train

from experiments.runs import SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff.runtime.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
NAME = "lightning_mmdiff.methods.small_gan"
STEPS, STOPPED = 20, 13


@pytest.fixture(scope="module")
def gan() -> Iterator[ModuleType]:
    """The module of the page."""
    first = f"# {NAME.replace('.', '/')}.py\n"
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/extending.md").read_text(), re.MULTILINE | re.DOTALL)
    (source,) = (block for block in blocks if block.startswith(first))
    module = sys.modules[NAME] = ModuleType(NAME)
    exec(compile(source, "docs/extending.md", "exec"), vars(module))
    yield module
    del sys.modules[NAME]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


def training(gan: ModuleType) -> TrainRun:
    trainer = TrainerConfig(max_steps=STEPS, ema_decay=0.9, checkpoint_every=5)
    model = gan.SmallGANConfig(image_size=16)
    return TrainRun(name="gan", model=model, data=(small_runs.HAIR,), batch_size=4, trainer=trainer)


def test_steps_are_batches_and_a_resumed_training_is_the_same_bit_for_bit(tmp_path, data, gan) -> None:
    run = training(gan)
    whole = train(run, data, tmp_path / "whole")
    assert [int(row.split(",")[0]) for row in whole.loss_curve.read_text().splitlines()[1:]] == [10, 20]
    with pytest.raises(ZeroDivisionError):
        train(run, data, tmp_path / "stopped", Stop(STOPPED))
    folder = RunFolder(tmp_path / "stopped" / "smoke" / "gan")
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == ["step=10.ckpt", "step=5.ckpt"]
    train(run, data, tmp_path / "stopped")
    assert folder.weights.read_bytes() == whole.weights.read_bytes()
    assert folder.loss_curve.read_text() == whole.loss_curve.read_text()


def test_images_without_a_sampler(tmp_path, data, gan) -> None:
    run = training(gan)
    train(run, data, tmp_path)
    images = []
    for size in (4, 8):
        sample = SampleRun(
            name=f"images-{size}",
            method=gan.Generate(model=run),
            data=small_runs.HAIR,
            num_images=8,
            shard_size=size,
            seed=3,
        )
        small_runs.do(small_runs.workspace(data, tmp_path), sample)
        shards = sorted(RunFolder(tmp_path / "smoke" / sample.name).samples.glob("*.npy"))
        images.append(np.concatenate([np.load(shard) for shard in shards]))
    assert images[0].shape == (8, 3, 16, 16)
    assert images[0].std() > 0
    assert np.array_equal(*images)  # image i depends on (seed, i) alone
    assert len({image.tobytes() for image in images[0]}) == 8
