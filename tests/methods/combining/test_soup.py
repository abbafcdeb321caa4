"""Weight soup: the mean of linear denoisers predicts the mean of their predictions; embedders and counters are left alone."""

import copy

import pytest
import torch
from tiny import randomized, tiny_config, tiny_denoiser
from torch import nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.combining.soup import Soup, mean_weights, soup
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.schedules import Sampler

SAMPLER = Sampler(name="spaced-ddim", num_steps=3)
MAPS = (("hair", 1), ("skin", 1))


class Embedder(nn.Module):
    """A frozen embedder, which no soup averages."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


def model(seed: int) -> Denoiser:
    return randomized(Denoiser(tiny_config(spatial=MAPS), embedder=Embedder(), seed=seed), seed).eval()


def linear(seed: int) -> Denoiser:
    """A denoiser that is linear in its weights: one convolution of image and conditions."""
    made = tiny_denoiser(seed, spatial=MAPS).double()
    layer = nn.Conv2d(5, 3, 1, dtype=torch.float64)
    made.network = randomized(layer, seed)
    layer.forward = lambda x, t, embedding: nn.functional.conv2d(x, layer.weight, layer.bias)
    return made


def test_the_soup_of_linear_denoisers_averages_their_predictions() -> None:
    first, second = linear(0), linear(1)
    mixed = copy.deepcopy(first)
    mixed.network.load_state_dict(mean_weights([m.network.state_dict() for m in (first, second)], [0.25, 0.75]))
    mixed.network.forward = lambda x, t, embedding: nn.functional.conv2d(x, mixed.network.weight, mixed.network.bias)
    z = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    maps = {name: torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8) for name, _ in MAPS}
    eps = [m.predict_noise(z, torch.tensor(500), maps) for m in (first, second, mixed)]
    assert (eps[2] - (0.25 * eps[0] + 0.75 * eps[1])).abs().max() < 1e-12


def test_a_soup_averages_what_is_trained_and_nothing_else() -> None:
    first, second = model(0), model(1)
    before = {name: value.clone() for name, value in first.state_dict().items()}
    mixed = soup([first, second], [0.5, 0.5])
    for name, value in mixed.state_dict().items():
        expected = (first.state_dict()[name] + second.state_dict()[name]) / 2
        torch.testing.assert_close(value, first.state_dict()[name] if name.startswith("embedder") else expected)
    assert all(torch.equal(value, before[name]) for name, value in first.state_dict().items())
    assert mixed.embedder is first.embedder


def test_counters_are_those_of_the_first() -> None:
    states = [{"weight": torch.tensor([float(n)]), "steps": torch.tensor(n)} for n in (1, 3)]
    mixed = mean_weights(states, [0.5, 0.5])
    assert (mixed["weight"].item(), mixed["steps"].item()) == (2.0, 1)
    with pytest.raises(UserError, match="one architecture"):
        mean_weights([{"weight": torch.zeros(1)}, {"weight": torch.zeros(2)}], [0.5, 0.5])


def test_a_soup_of_one_model_is_that_model_under_all_conditions() -> None:
    uses = tuple(ExpertUse(run=run, conditions=(name,)) for run, name in ((None, "hair"), (None, "skin")))
    batch = {
        "index": torch.tensor([0, 3]),
        "conditions": {name: torch.randint(256, (2, 1, 8, 8), dtype=torch.uint8) for name, _ in MAPS},
    }
    alone = model(0)
    alone.sampler = SAMPLER
    made = Soup(experts=uses).build(lambda run: model(0), sampler=SAMPLER, seed=0).predict_step(batch)
    assert (made.int() - alone.predict_step(batch).int()).abs().max() <= 1
    with pytest.raises(UserError, match="sum to 1"):
        Soup(experts=(ExpertUse(run=None, conditions=("hair",), reliability=0.4),))


def test_cost() -> None:
    uses = tuple(ExpertUse(run=None, conditions=(name,)) for name in ("hair", "skin"))
    assert (Soup(experts=uses).calls_per_step, Soup(experts=uses, guidance=2.0).calls_per_step) == (1, 2)
