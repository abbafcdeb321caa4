"""The calls per step that a method declares, from which hours are estimated, are those that its sampling makes."""

from dataclasses import replace

import pytest
import small_runs
import torch
from tiny import tiny_denoiser

from lightning_mmdiff.methods.collaborative.generation import Collaborate
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.collaborative.model import Collaborative, CollaborativeConfig, Collaborator
from lightning_mmdiff.methods.combining.autoguidance import UniteAutoguided
from lightning_mmdiff.methods.combining.choosing import BlendBySaliency, Switch
from lightning_mmdiff.methods.combining.feynman_kac_sampling import UniteParticles
from lightning_mmdiff.methods.combining.guidance import UnitePlusPlus
from lightning_mmdiff.methods.combining.langevin_sampling import UniteCorrected
from lightning_mmdiff.methods.combining.own_latents_sampling import UniteOwnLatents
from lightning_mmdiff.methods.combining.soup import Soup
from lightning_mmdiff.methods.combining.superdiff_sampling import Superpose
from lightning_mmdiff.methods.composable import Compose
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.networks.unet import UNet
from lightning_mmdiff.schedules import Sampler

STEPS, IMAGES = 4, 2
CONDITIONS = ("hair", "skin")
RUNS = tuple(replace(small_runs.expert(steps=1), name=name) for name in CONDITIONS)
EXPERTS = tuple(ExpertUse(run=run, conditions=(run.name,)) for run in RUNS)
NETWORK = replace(RUNS[0].model.network, out_channels=1, channels=8)
DIFFUSERS = CollaborativeConfig(
    collaborators=tuple(Collaborator(conditions=(name,), network=NETWORK) for name in CONDITIONS)
)
DYNAMIC = replace(RUNS[0], name="diffusers", model=DIFFUSERS, experts=RUNS)
WEAK = tuple(replace(use, run=replace(use.run, name=f"weak {use.run.name}")) for use in EXPERTS)


def trained(run):
    """A model of random weights for each run; all know both conditions by name."""
    if run == DYNAMIC:
        return Collaborative([trained(expert) for expert in RUNS], DIFFUSERS).eval()
    name = run.name.removeprefix("weak ")
    return tiny_denoiser(len(run.name), spatial=((name, 1),))


def of_both(run):
    """A model of random weights that knows both conditions, as an ingredient of a soup."""
    return tiny_denoiser(len(run.name), spatial=tuple((name, 1) for name in CONDITIONS))


def made_calls(method, models=trained) -> int:
    """Rows that went through U-Nets while images were sampled, per image."""
    module = method.build(models, sampler=Sampler(name="ddim", num_steps=STEPS, eta=0.0), seed=0)
    draws, rows = torch.Generator().manual_seed(0), []
    maps = {name: torch.randint(256, (IMAGES, 1, 8, 8), generator=draws, dtype=torch.uint8) for name in CONDITIONS}

    def count(network: torch.nn.Module, inputs: tuple) -> None:
        if isinstance(network, UNet):
            rows.append(len(inputs[0]))

    hook = torch.nn.modules.module.register_module_forward_pre_hook(count)
    try:
        module.predict_step({"index": torch.arange(IMAGES), "conditions": maps})
    finally:
        hook.remove()
    assert sum(rows) % IMAGES == 0
    return sum(rows) // IMAGES


METHODS = {
    "average": Compose(experts=EXPERTS),
    "Eq. 10": Unite(experts=EXPERTS),
    "own latents": UniteOwnLatents(experts=EXPERTS),
    "particles": UniteParticles(experts=EXPERTS, particles=3),
    "and": Superpose(experts=EXPERTS, operation="and"),
    "CFG++": UnitePlusPlus(experts=EXPERTS),
    "autoguidance": UniteAutoguided(experts=EXPERTS, weak=WEAK),
    "saliency": BlendBySaliency(experts=EXPERTS),
    "switch": Switch(experts=EXPERTS),
    "dynamic diffusers": Collaborate(model=DYNAMIC),
    "guided": Collaborate(model=DYNAMIC, influence=InfluenceConfig(guidance=2.0)),
    "without spatial influence": Collaborate(model=DYNAMIC, influence=InfluenceConfig(spatial=False)),
    "without temporal influence": Collaborate(model=DYNAMIC, influence=InfluenceConfig(temporal=False)),
    "guided, without": Collaborate(model=DYNAMIC, influence=InfluenceConfig(temporal=False, guidance=2.0)),
}


@pytest.mark.parametrize("name", METHODS)
def test_declared_calls_are_made(name: str) -> None:
    assert made_calls(METHODS[name]) == STEPS * METHODS[name].calls_per_step


def test_without_temporal_influence_the_experts_are_asked_twice_and_their_diffusers_once() -> None:
    assert METHODS["without temporal influence"].calls_per_step == 2 * 2 + 2


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_soup(guidance: float) -> None:
    soup = Soup(experts=EXPERTS, guidance=guidance)
    assert made_calls(soup, of_both) == STEPS * soup.calls_per_step


@pytest.mark.parametrize("adjusted", [False, True])
def test_correctors_have_nothing_to_do_at_the_first_step(adjusted: bool) -> None:
    method = UniteCorrected(experts=EXPERTS, corrections=3, adjusted=adjusted)
    assert made_calls(method) == STEPS * method.calls_per_step - 3 * 4
