"""The features of a timestep beside guided-diffusion's formula."""

import math

import pytest
import torch

from lightning_mmdiff.networks.blocks import timestep_embedding


@pytest.mark.parametrize(("channels", "most"), [(128, 0.0), (256, 0.0), (192, 3.1e-5), (320, 3.1e-5)])
def test_angles_of_the_timestep_are_those_of_guided_diffusion_but_for_rounding(channels, most):
    """Its order: exp(-log(10000) k / half), from the left, in float32."""
    half = channels // 2
    theirs = 999 * torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32) / half)
    ours = 999 * torch.exp(-math.log(10_000) / half * torch.arange(half, dtype=torch.float32))
    exact = 999 * torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float64) / half)
    features = timestep_embedding(torch.tensor([999]), channels)[0]
    assert torch.equal(features, torch.cat([ours.cos(), ours.sin()]))
    assert (ours.double() - theirs.double()).abs().max() <= most
    assert (ours - exact).abs().max() < 7e-5
    assert (theirs - exact).abs().max() < 7e-5
