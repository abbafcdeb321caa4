"""SDEdit and replacement: what they return at their limits, and that known pixels come back byte for byte."""

import dataclasses

import pytest
import torch
from tiny import tiny_denoiser

from lightning_mmdiff import images, schedules, seeding
from lightning_mmdiff.methods.replacement import Replacement, Replacing
from lightning_mmdiff.methods.sdedit import SDEdit, visible_part
from lightning_mmdiff.sampling import SamplingModule
from lightning_mmdiff.schedules import Sampler

DDIM = Sampler(name="ddim", num_steps=5)
MEAN, VARIANCE = 0.2, 0.05


class ExactNoise(SamplingModule):
    """Noise of a world whose pixels are N(MEAN, VARIANCE); remembers when it was asked, and about what."""

    def __init__(self, sampler: Sampler = DDIM, schedule: str = "cosine"):
        super().__init__(sampler=sampler, schedule=schedules.by_name(schedule), shape=(3, 8, 8))
        self.times, self.conditions = [], {}

    def predict_noise(self, z, t, conditions):
        self.times.append(int(t))
        self.conditions = conditions
        alpha, sigma = self.schedule.coefficients(t, z)
        return sigma * (z - alpha * MEAN) / (alpha**2 * VARIANCE + sigma**2)


def batch(size: int = 4, hidden: str = "left") -> dict:
    g = torch.Generator().manual_seed(3)
    mask = torch.full((size, 1, 8, 8), 255, dtype=torch.uint8)
    mask[:, :, :, : {"left": 4, "all": 8, "none": 0}[hidden]] = 0
    image = torch.randint(0, 256, (size, 3, 8, 8), generator=g, dtype=torch.uint8)
    return {
        "index": torch.arange(10, 10 + size),
        "conditions": {"masked_image": torch.where(mask > 0, image, 0), "mask": mask, "label": torch.arange(size)},
    }


def rows(whole: dict, keep: slice) -> dict:
    return {"index": whole["index"][keep], "conditions": {k: v[keep] for k, v in whole["conditions"].items()}}


def test_hidden_pixels_are_gray():
    image, mask = visible_part(batch()["conditions"], (3, 8, 8))
    assert image[..., :4].unique().tolist() == [0]
    assert mask[..., :4].unique().tolist() == [0]
    assert torch.equal(images.to_uint8(image[..., 4:]), batch()["conditions"]["masked_image"][..., 4:])


def test_sdedit_without_noise_returns_the_masked_image():
    model = ExactNoise()
    result = SDEdit(model, start_step=0).predict_step(batch())
    assert model.times == []
    assert torch.equal(result[..., 4:], batch()["conditions"]["masked_image"][..., 4:])
    assert result[..., :4].unique().tolist() == [128]  # gray


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm-solver++", "unipc", "spaced-ddim", "spaced-ddpm"])
def test_sdedit_from_pure_noise_is_plain_sampling(name):
    """With the same noise: of the picture, alpha_T = 4.9e-5 of it is left."""
    model = ExactNoise(Sampler(name=name, num_steps=8))
    edited = SDEdit(model, start_step=1000).predict_step(batch())
    assert len(model.times) == 8
    assert (edited.int() - model.predict_step(batch()).int()).abs().max() <= 1


@pytest.mark.parametrize(("start_step", "times"), [(500, [399, 199]), (600, [599, 399, 199]), (200, [199]), (199, [])])
def test_sdedit_starts_at_the_noised_picture(start_step, times):
    model = ExactNoise()
    edit = SDEdit(model, start_step=start_step)
    generators = [seeding.image_generator(0, int(i)) for i in batch()["index"]]
    image, _ = visible_part(batch()["conditions"], (3, 8, 8))
    z = edit.initial_latents(batch(), generators)
    if times:
        eps = torch.stack([torch.randn(3, 8, 8, generator=seeding.image_generator(0, i)) for i in range(10, 14)])
        alpha, sigma = model.schedule.alpha[times[0]].float(), model.schedule.sigma[times[0]].float()
        image = alpha * image + sigma * eps
    torch.testing.assert_close(z, image)
    edit.predict_step(batch())
    assert model.times == times


def test_the_more_noise_the_further_from_the_picture():
    model = ExactNoise(dataclasses.replace(DDIM, num_steps=50))
    shown = batch()["conditions"]["masked_image"][..., 4:].int()
    distance = [
        (SDEdit(model, start_step=s).predict_step(batch())[..., 4:].int() - shown).abs().float().mean()
        for s in (0, 200, 500, 900)
    ]
    assert distance == sorted(distance)
    assert distance[0] == 0
    assert distance[3] > 40  # gray levels: nothing is kept


@pytest.mark.parametrize("method", [SDEdit, Replacement])
def test_the_model_sees_neither_picture_nor_mask(method):
    model = ExactNoise()
    method(model).predict_step(batch())
    assert set(model.conditions) == {"label"}


SAMPLERS = [
    Sampler(name="ddim", num_steps=5),
    Sampler(name="ddim", num_steps=5, eta=1.0),
    Sampler(name="ddim", num_steps=5, spacing="leading"),
    Sampler(name="ddpm", num_steps=5),
    Sampler(name="dpm-solver++", num_steps=5),
    Sampler(name="spaced-ddpm", num_steps=5),
]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_replacement_keeps_known_pixels_byte_for_byte(sampler):
    result = Replacement(ExactNoise(sampler)).predict_step(batch())
    assert torch.equal(result[..., 4:], batch()["conditions"]["masked_image"][..., 4:])
    complete = Replacement(ExactNoise(sampler)).predict_step(batch(hidden="none"))
    assert torch.equal(complete, batch(hidden="none")["conditions"]["masked_image"])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_replacement_of_nothing_is_plain_sampling(sampler):
    model = tiny_denoiser(spatial=())
    model.sampler = sampler
    assert torch.equal(Replacement(model).predict_step(batch(hidden="all")), model.predict_step(batch()))


def test_what_is_known_changes_what_is_not():
    model = tiny_denoiser(spatial=())
    model.sampler = DDIM
    inpainted, plain = Replacement(model).predict_step(batch()), model.predict_step(batch())
    assert (inpainted[..., :4].int() - plain[..., :4].int()).abs().max() > 3


def test_known_pixels_have_the_noise_of_the_timestep_reached():
    schedule = schedules.cosine()
    inner = schedules.make_scheduler(DDIM, schedule)
    image, mask = torch.full((1, 3, 64, 64), 0.7), torch.ones(1, 1, 64, 64)
    scheduler = Replacing(inner, schedule, image, mask, [torch.Generator().manual_seed(0)])
    scheduler.set_timesteps(5)
    assert scheduler.timesteps.tolist() == [999, 799, 599, 399, 199]
    z = torch.zeros_like(image)
    drawn = [scheduler.step(z, t, z).prev_sample for t in scheduler.timesteps]
    for s, known in zip([799, 599, 399, 199], drawn):
        assert known.mean().item() == pytest.approx(0.7 * schedule.alpha[s].item(), abs=0.04)
        assert known.std().item() == pytest.approx(schedule.sigma[s].item(), rel=0.05)
    noise = [(known - schedule.alpha[s]) / schedule.sigma[s] for s, known in zip([799, 599], drawn)]
    assert torch.corrcoef(torch.stack(noise).flatten(1))[0, 1].abs() < 0.1  # drawn anew
    assert torch.equal(drawn[-1], image)


@pytest.mark.parametrize("method", [SDEdit, Replacement])
def test_an_image_does_not_depend_on_its_batch(method):
    model = tiny_denoiser(spatial=())
    model.sampler = dataclasses.replace(DDIM, eta=1.0)
    whole = method(model).predict_step(batch())
    part = method(model).predict_step(rows(batch(), slice(1, 4)))
    assert (whole[1:].int() - part.int()).abs().max() <= 1


def test_errors():
    model = ExactNoise()
    with pytest.raises(ValueError, match="start_step must be in 0..1000, got 1001"):
        SDEdit(model, start_step=1001)
    with pytest.raises(ValueError, match="cannot use unipc"):
        Replacement(ExactNoise(Sampler(name="unipc", num_steps=5)))
    for method in (SDEdit(model), Replacement(model)):
        with pytest.raises(ValueError, match=r"lacks masked_image and mask; it has \[\]"):
            method.predict_step({"index": torch.arange(1)})
        small = {k: v[:, ..., :4] for k, v in batch()["conditions"].items() if k != "label"}
        with pytest.raises(ValueError, match=r"the model samples \[3, 8, 8\]"):
            method.predict_step({"index": torch.arange(4), "conditions": small})
