"""Two processes that share every batch train an adversarial model as one process does.

In double precision the two differ by rounding alone; in single precision it is enough to send Adam, whose steps have the same
length for the smallest gradient, another way (``tests/test_data_parallel.py``).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import small
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from lightning_mmdiff.networks.whole_batch import BatchNorm, centered, scaled

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def states(tmp_path_factory) -> Path:
    """Folder of the weights and losses of every model, of one process and of two."""
    folder = tmp_path_factory.mktemp("together")
    path = os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    for processes in ("1", "2"):
        command = [sys.executable, "-m", "together", processes, str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.mark.slow  # three processes start one after the other and together
@pytest.mark.parametrize("name", small.CONFIGS)
def test_two_processes_equal_one(name: str, states: Path) -> None:
    one, two = (torch.load(states / f"{name}-{processes}.pt") for processes in (1, 2))
    start = small.CONFIGS[name].build(seed=0).state_dict()
    assert one.keys() == two.keys()
    assert {"loss", "discriminator_loss"} < one.keys()
    moved = [key for key in start if not torch.equal(start[key].to(one[key]), one[key])]
    assert any(key.startswith("generator") for key in moved)
    assert any(key.startswith("discriminator") for key in moved)
    for key, value in one.items():
        assert torch.allclose(two[key].double(), value.double(), rtol=1e-7, atol=1e-8), key


@pytest.mark.parametrize("affine", [False, True])
def test_statistics_and_scale_are_those_of_batch_norm(affine: bool) -> None:
    norm, x = nn.BatchNorm2d(3, affine=affine).train(), torch.randn(4, 3, 5, 5) * 3 + 10
    if affine:
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    deviations, mean, variance, count = centered(x)
    assert torch.allclose(scaled(deviations, variance + norm.eps, norm.weight, norm.bias), norm(x), atol=1e-5)
    assert torch.allclose(mean, x.mean(dim=(0, 2, 3)))
    assert count == 100


def test_alone_it_is_the_norm_of_pytorch_bit_for_bit() -> None:
    x, own, plain = torch.randn(4, 3, 5, 5), BatchNorm(3), nn.BatchNorm2d(3)
    assert torch.equal(own(x), plain(x))
    assert torch.equal(own.state_dict()["running_var"], plain.state_dict()["running_var"])
    assert torch.equal(own.eval()(x), F.batch_norm(x, plain.running_mean, plain.running_var, plain.weight, plain.bias))
