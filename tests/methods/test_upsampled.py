"""Enlarging a method's images: what the upsampler is given, from which noise, and that image i depends on its number alone."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_denoiser

from lightning_mmdiff import images, schedules
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.methods.unite_and_conquer import Expert, Unite, UniteAndConquer
from lightning_mmdiff.methods.upsampled import OWN_NOISE, ScaledStart, Upsample, Upsampling
from lightning_mmdiff.released.catalogue import Released

SAMPLER = schedules.Sampler(name="ddim", num_steps=2)


def base():
    return UniteAndConquer([Expert(denoiser=tiny_denoiser(), conditions=("hair",))], sampler=SAMPLER, sampling_seed=3)


def upsampler(temperature: float = 1.0) -> ScaledStart:
    model = tiny_denoiser(1, spatial=(("low_res", 3),), image_size=16)
    model.sampler = SAMPLER
    return ScaledStart(model, temperature=temperature, sampling_seed=3 + OWN_NOISE)


def batch(*numbers: int) -> dict:
    maps = torch.stack([torch.full((1, 8, 8), 20 * i, dtype=torch.uint8) for i in numbers])
    return {"index": torch.tensor(numbers), "conditions": {"hair": maps, "caption": [f"text {i}" for i in numbers]}}


def test_the_upsampler_sees_the_small_image_enlarged() -> None:
    small, large = base(), upsampler()
    given = []
    encode = large.model.encode
    large.model.encode = lambda conditions, count: given.append(conditions) or encode(conditions, count)
    found = Upsampling(small, large).predict_step(batch(0, 5))
    assert found.shape == (2, 3, 16, 16)
    assert found.dtype == torch.uint8
    expected = images.to_float(small.predict_step(batch(0, 5)))
    corner = given[0]["low_res"][:, :, [0, -1]][
        ..., [0, -1]
    ]  # half pixels: a corner of the large image is that of the small
    torch.testing.assert_close(corner, expected[:, :, [0, -1]][..., [0, -1]])
    inner = given[0]["low_res"][:, :, 1, 1]
    weights = torch.tensor([[9.0, 3.0], [3.0, 1.0]]) / 16
    torch.testing.assert_close(inner, (expected[:, :, :2, :2] * weights).sum(dim=(2, 3)))
    assert set(given[0]) == {"low_res"}  # no text


def test_a_prompt_is_handed_on() -> None:
    small, large = base(), upsampler()
    given = []
    large.model.encode_conditions = lambda conditions: given.append(conditions) or conditions
    Upsampling(small, large, prompt="caption").predict_step(batch(0, 5))
    assert given[0]["caption"] == ["text 0", "text 5"]


def test_image_i_depends_on_its_number_alone() -> None:
    whole = Upsampling(base(), upsampler()).predict_step(batch(0, 1, 2, 3))
    part = Upsampling(base(), upsampler()).predict_step(batch(2, 0))
    assert (part.int() - whole[[2, 0]].int()).abs().max() <= 1


def test_the_start_has_the_temperature_and_noise_of_its_own() -> None:
    generators = [torch.Generator().manual_seed(0)]
    unit, colder = (upsampler(t).initial_latents({}, [g.clone_state() for g in generators]) for t in (1.0, 0.5))
    torch.testing.assert_close(colder, 0.5 * unit)
    assert upsampler().sampling_seed != base().sampling_seed


def test_the_config_builds_both_stages() -> None:
    models = {"small": tiny_denoiser(), "large": tiny_denoiser(1, spatial=(("low_res", 3),), image_size=16)}
    small, large = Released("farl"), Released("clip_h")
    config = Upsample(base=Unite(experts=(ExpertUse(run=small, conditions=("hair",)),)), upsampler=large, steps=SAMPLER)
    module = config.build({small: models["small"], large: models["large"]}.get, sampler=SAMPLER, seed=4)
    assert module.predict_step(batch(1)).shape == (1, 3, 16, 16)
    assert (module.base.sampling_seed, module.upsampler.sampling_seed) == (4, 4 + OWN_NOISE)
    assert module.upsampler.temperature == 0.997
    assert config.needs == (small, large)
    assert config.calls_per_step == 3
    with pytest.raises(ValueError, match="temperature=0"):
        replace(config, temperature=0.0)
