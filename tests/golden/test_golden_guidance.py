"""Classifier guidance over 25 steps, equal to guided-diffusion (openai, commit 22e0df8).

Recorded by its ``p_sample_loop_progressive`` and ``ddim_sample_loop_progressive`` with linear betas, the classifier function
of ``scripts/classifier_sample.py``, and ``formulas.two_points`` for model and classifier.
"""

import pytest
import torch
from formulas import numbers, recorded, trajectory, two_points, two_points_logits

from lightning_mmdiff.methods.classifier_guidance import ClassifierGuided
from lightning_mmdiff.models.noisy_classifier import NoisyClassifier, NoisyClassifierConfig
from lightning_mmdiff.networks.classifier import ClassifierConfig
from lightning_mmdiff.sampling import SamplingModule
from lightning_mmdiff.schedules import Sampler, linear


class Model(SamplingModule):
    def predict_noise(self, z, t, conditions):
        eps = two_points(z, *self.schedule.coefficients(t, z))
        return torch.cat([eps, z.tanh()], dim=1) if self.sampler.variance == "learned_range" else eps


class Logits(torch.nn.Module):
    def forward(self, z, t):
        return two_points_logits(z, *linear().coefficients(t, z))


def guided(sampler: Sampler, scale: float) -> ClassifierGuided:
    network = ClassifierConfig(
        num_classes=3, image_size=2, in_channels=1, channels=8, channel_mult=(1,), num_res_blocks=1, attention_levels=(),
        head_channels=8, norm_groups=4,
    )  # fmt: skip
    classifier = NoisyClassifier(NoisyClassifierConfig(network=network, schedule="linear"))
    classifier.network = Logits()
    form = "mean" if sampler.name == "spaced-ddpm" else "score"
    model = Model(sampler=sampler, schedule=linear(), shape=(1, 2, 2))
    return ClassifierGuided(model, classifier, scale=scale, form=form)


@pytest.mark.parametrize("scale", [1, 10])
@pytest.mark.parametrize(
    ("key", "sampler"),
    [
        ("ddim ddim25", Sampler(name="spaced-ddim", num_steps=25, spacing="ddim25")),
        ("ddim 25", Sampler(name="spaced-ddim", num_steps=25)),
        ("learned_range 25", Sampler(name="spaced-ddpm", num_steps=25, variance="learned_range")),
        ("fixed_large 25", Sampler(name="spaced-ddpm", num_steps=25, variance="fixed_large")),
        ("fixed_small 25", Sampler(name="spaced-ddpm", num_steps=25, variance="fixed_small")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_guided_trajectories(key: str, sampler: Sampler, scale: float, monkeypatch) -> None:
    """DDIM by the score, which clips before it guides and not after; ancestral steps by the mean."""
    batch = {"index": torch.arange(2), "conditions": {"label": torch.tensor([2, 0])}}
    found = trajectory(guided(sampler, scale), numbers("z_T", 2, 1, 2, 2), batch, monkeypatch)
    torch.testing.assert_close(found, recorded("guided_trajectories")[f"{key} {scale}"], atol=1e-5, rtol=1e-5)
