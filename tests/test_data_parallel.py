"""Two processes on the CPU, by the real command: a training on two devices has its own group, and the numbers of one process."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_runs
import two_devices
from safetensors.numpy import load_file

from datamodules.batches.steps import Share
from datamodules.celebamask_hq import CelebAMaskHQ
from experiments.core.workspace import prepare_data, training_data

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).parents[1]
NAMES = ("before", "both", "after", "gan")


def numbers(path: Path) -> list[list[int]]:
    return [[int(word) for word in line.split()] for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """Output of the command."""
    out = tmp_path_factory.mktemp("two")
    data = small_runs.write_data(out / "data")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "two_devices", "--profile", "smoke", "--data", str(data), "--out", str(out)]
    command += ["--only", *(f"{name}{part}" for name in NAMES for part in ("", "-samples"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out


def folder(out: Path, name: str) -> Path:
    return out / "smoke" / name


@pytest.fixture(scope="module")
def alone(out, tmp_path_factory) -> Path:
    """The models trained on one device each, and sampled, in this process."""
    there = tmp_path_factory.mktemp("alone")
    workspace = small_runs.workspace(out / "data", there)
    for name in ("before", "both"):
        run = two_devices.expert(name, 1)
        prepare_data(workspace, [run])
        samples = small_runs.samples(run, num_images=10, num_steps=4)
        small_runs.do(workspace, run, replace(samples, name=f"{name}-samples"))
    small_runs.do(workspace, small_runs.gan(steps=two_devices.STEPS, name="gan"))
    return there


@pytest.mark.slow
def test_every_training_is_done_once_by_the_processes_that_it_takes(out) -> None:
    who = sorted(str(path.relative_to(out / "smoke")) for path in out.glob("smoke/*/rank*.txt"))
    together = [f"{name}/rank{rank}of2.txt" for name in ("both", "gan") for rank in (0, 1)]
    assert who == ["after/rank0of1.txt", "before/rank0of1.txt", *together]
    for path in out.glob("smoke/*/rank*.txt"):
        assert len(numbers(path)) == two_devices.STEPS
    for name in NAMES:
        rows = (folder(out, name) / "loss.csv").read_text().split()
        assert [row.split(",")[0] for row in rows] == ["step", "10", "12"]
        assert not list(folder(out, name).rglob("*.ckpt"))
        assert not (folder(out, name) / "failed.txt").exists()


@pytest.mark.slow
def test_the_two_halves_make_the_batches_of_one_process(out) -> None:
    run = two_devices.expert("both", 1)
    module = training_data(run, out / "data", out / "packed")
    module.setup()
    whole = module.train_batches()
    halves = [numbers(folder(out, "both") / f"rank{rank}of2.txt") for rank in (0, 1)]
    for step, rows in enumerate(zip(*halves, strict=True)):
        expected = whole(step)["index"].tolist()
        assert list(rows) == [expected[0::2], expected[1::2]]


def curves(out: Path, alone: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The loss curves of two processes and of one."""
    two, one = (
        np.genfromtxt(folder(o, name) / "loss.csv", delimiter=",", skip_header=1, filling_values=0)
        for o in (out, alone)
    )
    return two, one


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_and_weights_of_one(out, alone) -> None:
    """Rounding of the mean over processes apart; timesteps, noise and dropped conditions are those of one process."""
    two, one = curves(out, alone, "both")
    assert two.shape == one.shape == (2, 3)
    np.testing.assert_allclose(two, one, rtol=2e-5)
    weights, expected = (load_file(folder(o, "both") / "weights.safetensors") for o in (out, alone))
    for name, value in weights.items():
        np.testing.assert_allclose(value, expected[name], atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_two_processes_train_with_two_optimizers_as_one(out, alone) -> None:
    """Adam makes steps of full length of gradients that are rounding alone, so weights agree but for a part of their way.

    In double precision they agree to 1e-8 (``tests/baselines/test_two_processes.py``, every adversarial model).
    """
    two, one = curves(out, alone, "gan")
    assert two.shape == one.shape == (2, 5)
    np.testing.assert_allclose(two, one, rtol=5e-3)
    start = small_runs.gan(steps=1).model.build(seed=0).state_dict()
    weights, expected = (load_file(folder(o, "gan") / "weights.safetensors") for o in (out, alone))
    kernels = [name for name in weights if name.endswith("weight")]
    for network in ("generator", "discriminator"):
        names = [name for name in kernels if name.startswith(network)]
        apart = np.concatenate([np.abs(weights[n] - expected[n]).ravel() for n in names]).mean()
        moved = np.concatenate([np.abs(expected[n] - start[n].numpy()).ravel() for n in names]).mean()
        assert apart < 0.2 * moved, (network, apart, moved)


@pytest.mark.slow
def test_what_single_processes_do_beside_a_group_is_the_same_bit_for_bit(out, alone) -> None:
    for name in ("weights.safetensors", "loss.csv"):
        assert (folder(out, "before") / name).read_bytes() == (folder(alone, "before") / name).read_bytes()
        assert (folder(out, "after") / name).read_bytes() == (folder(out, "before") / name).read_bytes()
    names = sorted(path.name for path in (folder(alone, "before-samples") / "samples").iterdir())
    assert len(names) == 3
    for name in names:
        shards = [folder(o, "before-samples") / "samples" / name for o in (out, alone)]
        assert shards[0].read_bytes() == shards[1].read_bytes()
    two, one = (np.load(folder(o, "both-samples") / "samples" / "00000.npy").astype(int) for o in (out, alone))
    assert np.abs(two - one).max() <= 1


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_shares_are_disjoint_and_complete(world_size) -> None:
    shares = [list(Share(5, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert sorted(sum(shares, [])) == list(range(5))


def test_predict_share_takes_every_other_batch(tmp_path) -> None:
    root = small_runs.write_data(tmp_path / "data") / "CelebAMask-HQ"
    data = CelebAMaskHQ(root=root, image_size=16, batch_size=4, cache=tmp_path / "packed")
    data.prepare_data()
    data.setup()
    data.predict_batches = [[0, 1], [2, 3], [4]]
    taken = [[b["index"].tolist() for b in data.predict_share(rank=rank, world_size=2)] for rank in range(2)]
    assert taken == [[[0, 1], [4]], [[2, 3]]]
