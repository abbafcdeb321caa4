"""Two processes on the CPU: they share every training batch, and share the shards out without repeating one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_runs

from datamodules.batches.steps import Share
from datamodules.celebamask_hq import CelebAMaskHQ
from experiments.core import build
from experiments.core.workspace import prepare_data, training_data
from experiments.engine import stages
from lightning_mmdiff.runtime.checkpoints import newest_checkpoint

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path

import torch
from lightning import Callback, Trainer

import small_runs
from experiments.core import build
from experiments.core.workspace import prepare_data, training_data
from experiments.engine import stages

torch.set_num_threads(1)
data, out = Path(sys.argv[1]), Path(sys.argv[2])


class Record(Callback):
    def on_train_batch_start(self, trainer, module, batch, number):
        self.write("train", trainer, batch)

    def on_predict_batch_start(self, trainer, module, batch, number, loader=0):
        self.write("predict", trainer, batch)

    def write(self, stage, trainer, batch):
        with (out / f"{stage}{trainer.global_rank}.txt").open("a") as file:
            print(*batch["index"].tolist(), file=file)


def two_processes(folder, callbacks, **options):
    options |= {"accelerator": "cpu", "devices": 2, "default_root_dir": folder}
    return Trainer(callbacks=[Record(), *callbacks], **build.QUIET, **options)


build.trainer = lambda config, folder, callbacks: two_processes(
    folder, callbacks, max_steps=config.max_steps, max_epochs=-1, gradient_clip_val=config.gradient_clip_val
)
build.predictor = two_processes
run = small_runs.expert(steps=12)
sample = small_runs.samples(run, num_images=18, num_steps=4)
workspace = small_runs.workspace(data, out)
prepare_data(workspace, [run])
stages.train(workspace, run)
stages.sample(workspace, sample)
print("finished")
"""


def numbers(path: Path) -> list[list[int]]:
    return [[int(word) for word in line.split()] for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """Output of the two processes."""
    out = tmp_path_factory.mktemp("two")
    data = small_runs.write_data(out / "data")
    (out / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(out / "script.py"), str(data), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("finished") >= 1
    return out


def test_the_two_halves_make_the_batches_of_one_process(out) -> None:
    run = small_runs.expert(steps=12)
    module = training_data(run, out / "data", out / "packed")
    module.setup()
    first, second = numbers(out / "train0.txt"), numbers(out / "train1.txt")
    assert len(first) == len(second) == 12
    whole = module.train_batches()
    for step, (a, b) in enumerate(zip(first, second)):
        assert len(a) == len(b) == 2
        assert not set(a) & set(b)
        assert sorted(a + b) == sorted(whole(step)["index"].tolist())


def test_training_finishes_and_leaves_weights(out) -> None:
    folder = out / "smoke" / "expert"
    assert build.trained(small_runs.expert(steps=12), out / "smoke")
    assert newest_checkpoint(folder) is None
    rows = (folder / "loss.csv").read_text().split()
    assert [row.split(",")[0] for row in rows] == ["step", "10", "12"]
    assert float(rows[-1].split(",")[2]) > 0  # on held-out images, in one process of the two


def test_shards_are_those_of_one_process_and_none_is_made_twice(out, tmp_path) -> None:
    first, second = numbers(out / "predict0.txt"), numbers(out / "predict1.txt")
    assert len(first) + len(second) == 5  # whoever is free takes the next
    assert sorted(i for batch in first + second for i in batch) == list(range(18))
    run = small_runs.expert(steps=12)
    sample = small_runs.samples(run, num_images=18, num_steps=4)
    alone = small_runs.workspace(out / "data", tmp_path)
    prepare_data(alone, [run])
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke" / "expert").symlink_to(out / "smoke" / "expert")
    stages.sample(alone, sample)
    for number in range(5):
        there, here = (np.load(o / "smoke/samples/samples" / f"{number:05d}.npy") for o in (out, tmp_path))
        assert there.shape == here.shape
        assert np.abs(there.astype(int) - here.astype(int)).max() <= 1  # the number of threads differs


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_shares_are_disjoint_and_complete(world_size) -> None:
    shares = [list(Share(5, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert sorted(sum(shares, [])) == list(range(5))


def test_predict_share_takes_every_other_batch(out) -> None:
    data = CelebAMaskHQ(root=out / "data" / "CelebAMask-HQ", image_size=16, batch_size=4, cache=out / "packed")
    data.prepare_data()
    data.setup()
    data.predict_batches = [[0, 1], [2, 3], [4]]
    taken = [[b["index"].tolist() for b in data.predict_share(rank=rank, world_size=2)] for rank in range(2)]
    assert taken == [[[0, 1], [4]], [[2, 3]]]
