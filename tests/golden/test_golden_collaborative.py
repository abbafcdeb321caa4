"""Collaborative Diffusion over 25 steps, equal to the released code (ziqihuangg/Collaborative-Diffusion, commit b1ea7f8).

Recorded by its ComposeUNet in its DDIMConfidenceSampler (eta 1, betas of latent diffusion), on the CPU, with
``formulas.sure_expert`` for the networks and ``formulas.sure_influence`` for the dynamic diffusers: "none" without its
schedule (``seg_mask_schedule`` and ``seg_mask_scale_factor`` None), "released" with its defaults.
"""

import pytest
import torch
from formulas import SureExpert, numbers, recorded, sure_influence, trajectory

from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.collaborative.model import Collaborative, CollaborativeConfig, Collaborator
from lightning_mmdiff.networks.dynamic_diffuser import mini_dynamic_diffuser
from lightning_mmdiff.schedules import Sampler, scaled_linear

SLOPES = {"mask": 0.5, "text": 1.5, "sketch": 0.9}
CONDITIONS = {name: torch.full((1, 1), level) for name, level in (("mask", 0.6), ("text", -0.6), ("sketch", 0.2))}
SAMPLER = Sampler(name="ddim", num_steps=25, eta=1.0, clip=False, spacing="leading")
Z_T = numbers("z_T", 1, 3, 2, 2)
SCHEDULED = {2: (0,), 3: (0, 2)}
"""The released sampler scales mask and sketch; text absorbs the rest."""


class Diffuser(torch.nn.Module):
    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, z, t, maps, encoding, labels):
        return sure_influence(z, t, slope=self.slope, level=encoding.view(-1, 1, 1, 1))


def collaborative(count: int, schedule: str) -> Collaborative:
    names = tuple(SLOPES)[:count]
    experts = [SureExpert(n, SLOPES[n], scaled_linear(), (3, 2, 2), SAMPLER, latent=True) for n in names]
    config = CollaborativeConfig(
        collaborators=tuple(Collaborator(conditions=(n,), network=mini_dynamic_diffuser(3)) for n in names)
    )
    influence = InfluenceConfig(schedule=schedule, scheduled=SCHEDULED[count])
    model = Collaborative(experts, config, sampler=SAMPLER, influence=influence)
    model.diffusers = torch.nn.ModuleList([Diffuser(SLOPES[n]) for n in names])
    return model


@pytest.mark.parametrize("schedule", ["none", "released"])
@pytest.mark.parametrize("count", [2, 3])
@torch.no_grad()
def test_trajectory_and_influence(count: int, schedule: str, monkeypatch) -> None:
    model, golden = collaborative(count, schedule), recorded("collaborative")
    found = trajectory(model, Z_T, {"conditions": CONDITIONS}, monkeypatch)
    torch.testing.assert_close(found, golden[f"{count} {schedule}"], atol=1e-5, rtol=1e-5)
    for k, z in enumerate((Z_T, *golden[f"{count} {schedule}"][:-1])):
        influence = model.influence(z, torch.tensor(961 - 40 * k), CONDITIONS)[:, :, 0]  # [M, 1, 2, 2]
        torch.testing.assert_close(influence, golden[f"{count} {schedule} influence"][k], atol=1e-5, rtol=1e-5)
