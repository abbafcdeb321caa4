"""Label sampling against the models that it dispatches to."""

import dataclasses

import pytest
import torch
from tiny import tiny_denoiser

from lightning_mmdiff import schedules
from lightning_mmdiff.methods.label_sampling import LabelSampling
from lightning_mmdiff.schedules import Sampler

SAMPLER = Sampler(name="ddim", num_steps=4, eta=1.0)
LABELS = torch.tensor([2, 0, 2, 3, 0])


def models(count: int = 4, **options) -> list:
    return [tiny_denoiser(seed=u, spatial=(), **options) for u in range(count)]


def batch(labels: torch.Tensor = LABELS) -> dict:
    return {"index": torch.arange(10, 10 + len(labels)), "conditions": {"label": labels}}


@torch.no_grad()
def test_every_image_is_that_of_its_class_model():
    singles = models()
    together = LabelSampling(models(), sampler=SAMPLER, sampling_seed=7).predict_step(batch())
    for row, label in enumerate(LABELS.tolist()):
        single = singles[label]
        single.sampler, single.sampling_seed = SAMPLER, 7
        image = single.predict_step({"index": torch.tensor([10 + row])})[0]
        assert (image.int() - together[row].int()).abs().max() <= 1  # gray levels
    assert (together[0].int() - together[2].int()).abs().max() > 1  # own noise


@torch.no_grad()
def test_noise_is_in_the_order_of_the_batch_and_has_all_channels():
    learned = models(learned_variance=True)
    method = LabelSampling(learned, sampler=Sampler(name="spaced-ddpm", num_steps=4, variance="learned_range"))
    z, t = torch.randn(5, 3, 8, 8), torch.tensor(300)
    eps = method.predict_noise(z, t, {"label": LABELS})
    assert eps.shape == (5, 6, 8, 8)
    for row, label in enumerate(LABELS.tolist()):
        expected = learned[label].predict_noise(z[row : row + 1], t, {})[0]
        torch.testing.assert_close(eps[row], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_each_present_class_is_asked_once_and_no_other(monkeypatch):
    method, asked = LabelSampling(models(), sampler=SAMPLER), []
    for u, model in enumerate(method.models):
        monkeypatch.setattr(model, "predict_noise", lambda z, t, c, u=u: asked.append((u, len(z))) or z)
    z = torch.randn(5, 3, 8, 8)
    assert torch.equal(method.predict_noise(z, torch.tensor(3), {"label": LABELS}), z)
    assert asked == [(0, 2), (2, 2), (3, 1)]


def test_models_are_frozen():
    method = LabelSampling(models(), sampler=SAMPLER)
    assert not any(p.requires_grad for p in method.parameters())


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="got none"):
        LabelSampling([], sampler=SAMPLER)
    with pytest.raises(ValueError, match=r"Model 1 makes \(3, 16, 16\)"):
        LabelSampling([*models(1), tiny_denoiser(spatial=(), image_size=16)], sampler=SAMPLER)
    with pytest.raises(ValueError, match="one noise schedule"):
        LabelSampling([*models(1), tiny_denoiser(spatial=(), schedule="linear")], sampler=SAMPLER)
    method, z = LabelSampling(models(), sampler=SAMPLER), torch.randn(5, 3, 8, 8)
    with pytest.raises(ValueError, match="needs the condition 'label'"):
        method.predict_noise(z, torch.tensor(3), {})
    with pytest.raises(ValueError, match="the network has 4 classes"):
        method.predict_noise(z, torch.tensor(3), {"label": torch.tensor([0, 1, 2, 3, 4])})
    with pytest.raises(ValueError, match="run from -1"):
        method.predict_noise(z, torch.tensor(3), {"label": torch.tensor([0, 1, 2, 3, -1])})


def test_schedules_of_one_length_may_still_differ():
    first, second = models(2)
    second.schedule = dataclasses.replace(schedules.by_name("cosine"), alpha=first.schedule.alpha * 0.999)
    with pytest.raises(ValueError, match="one noise schedule"):
        LabelSampling([first, second], sampler=SAMPLER)
