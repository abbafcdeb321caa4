"""ADM's networks, learned variance and the encoding E(y), equal to guided-diffusion (openai, commit 22e0df8).

Recorded by its UNetModel, EncoderUNetModel and SpacedDiffusion, filled with ``formulas.weight`` under their own names.
"""

import math

import pytest
import torch
from formulas import load_official, numbers, recorded, recorded_names

from lightning_mmdiff.bound import discretized_log_likelihood, variational_bound
from lightning_mmdiff.methods.classifier_guidance import log_likelihood_gradient
from lightning_mmdiff.networks.classifier import Classifier, ClassifierConfig
from lightning_mmdiff.networks.heads import NetworkEncoder
from lightning_mmdiff.networks.unet import UNet, UNetConfig
from lightning_mmdiff.prediction import denoising_losses
from lightning_mmdiff.respaced import RespacedScheduler
from lightning_mmdiff.schedules import linear

X, T, LABELS = numbers("x", 2, 3, 8, 8), torch.tensor([7, 913]), torch.tensor([3, 0])
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def of_head_channels(width: int) -> int:
    """Number of heads with 16 channels each, as in ADM-64 and ADM-256 with 64."""
    return width // 16


def adm(*, num_heads: int | None = None, dropout: float = 0.0) -> UNet:
    return UNet(
        UNetConfig(
            in_channels=3, out_channels=6, channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(0, 1),
            head_channels=None if num_heads else 16, num_heads=num_heads, num_classes=5, dropout=dropout,
        )
    )  # fmt: skip


def released(**options) -> UNet:
    """The network in the order of ADM-256."""
    network = adm(**options)
    load_official(network, heads=of_head_channels)
    return network


@pytest.mark.parametrize(
    ("key", "num_heads", "heads"),
    [("new_order", None, None), ("legacy", None, of_head_channels), ("legacy_4_heads", 4, lambda _: 4)],
)
@torch.no_grad()
def test_unet_in_both_orders_of_query_key_and_value(key, num_heads, heads) -> None:
    """ADM-64 has the new order, ADM-256 the legacy one, ADM-128 the legacy one with four heads at every width."""
    network, golden = adm(num_heads=num_heads), recorded("adm_networks")
    assert load_official(network, heads=heads) == recorded_names("adm_networks", "unet_names")
    torch.testing.assert_close(network(X, T, None, LABELS), golden[key], **CLOSE)
    assert min((golden[key] - golden[other]).abs().max() for other in ("new_order", "legacy") if other != key) > 0.5


def test_classifier_and_its_gradient() -> None:
    """Its body has the legacy order, its pool the new one."""
    network = Classifier(
        ClassifierConfig(
            num_classes=7, image_size=8, channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(0, 1),
            head_channels=16,
        )
    )  # fmt: skip
    golden = recorded("adm_networks")
    names = load_official(network, heads=of_head_channels)
    assert names == recorded_names("adm_networks", "classifier_names")
    torch.testing.assert_close(network(X, T), golden["logits"], **CLOSE)
    gradient = log_likelihood_gradient(lambda x: network(x, T), X, LABELS)
    torch.testing.assert_close(gradient, golden["gradient"], **CLOSE)


@torch.no_grad()
def test_hybrid_loss_of_a_learned_variance() -> None:
    network, golden = released(), recorded("adm_learned_variance")
    z0 = (numbers("z0", 4, 3, 8, 8) * 60 + 128).clamp(0, 255).round() / 127.5 - 1
    eps, t = numbers("eps", 4, 3, 8, 8), torch.tensor([0, 1, 500, 999])
    z = linear().add_noise(z0, eps, t)
    output = network(z, t, None, torch.arange(4))
    bits = variational_bound(linear(), output, z0, z, t)
    torch.testing.assert_close(bits[1:], golden["vb"][1:], **CLOSE)
    losses = denoising_losses(
        linear(), output[1:], z0[1:], eps[1:], z[1:], t[1:], prediction="eps", min_snr=None, learned_variance=True
    )
    torch.testing.assert_close(losses["simple"] + losses["bound"], (golden["vb"] + golden["mse"])[1:].mean(), **CLOSE)


def test_likelihood_of_the_last_step_is_the_approximated_one_but_for_its_error() -> None:
    """Theirs approximates the Gaussian CDF: off by 1e-3 bits at one standard deviation, by .01 at two (PITFALLS 48)."""
    pixels = (torch.tensor([0.0, 102, 204, 255])) / 127.5 - 1
    for far, bits in ((0, 1e-4), (1, 2e-3), (2, 2e-2)):
        ours = discretized_log_likelihood(pixels, pixels + far * 0.02, torch.full((4,), 2 * math.log(0.02)))
        theirs = recorded("adm_learned_variance")["likelihood"][far]
        torch.testing.assert_close(ours, theirs, atol=bits * math.log(2), rtol=0)


@torch.no_grad()
def test_mean_and_learned_variance_of_respaced_steps(monkeypatch) -> None:
    """25 of 1000 steps; noise of 0 gives the mean of a step, noise of 1 adds its standard deviation."""
    network, golden = released(), recorded("adm_learned_variance")
    scheduler = RespacedScheduler(linear().alpha_bar, deterministic=False, spacing="25", variance="learned_range")
    scheduler.set_timesteps(25)
    assert scheduler.timesteps.flip(0).tolist() == golden["timesteps"].tolist()
    for k in (1, 13, 24):
        t = scheduler.timesteps[24 - k]
        output = network(X, t, None, LABELS)
        steps = []
        for noise in (torch.zeros_like(X), torch.ones_like(X)):
            monkeypatch.setattr("lightning_mmdiff.respaced.noise_like", lambda *_, noise=noise: noise)
            steps.append(scheduler.step(output, t, X).prev_sample[:, :, :2, :2])
        torch.testing.assert_close(steps[0], golden[f"mean_{k}"], **CLOSE)
        torch.testing.assert_close(steps[1] - steps[0], golden[f"std_{k}"], **CLOSE)


@torch.no_grad()
def test_encoding_of_a_class_is_that_of_the_network_in_evaluation() -> None:
    """E(y) of MT-Diffusion (App. E.3), which has no public code, by the code the paper names, with ADM-64's dropout of .1."""
    network, golden = adm(dropout=0.1), recorded("class_encoding")["encoding"]
    load_official(network)
    encoder, classes = NetworkEncoder((3, 8, 8), classes=5), torch.eye(5)
    for training in (True, False):
        encoding = encoder.train(training)(classes, network.train(training))
        torch.testing.assert_close(encoding, golden, **CLOSE)
    dropped = network.train()(torch.zeros(5, 3, 8, 8), torch.tensor([0]), None, torch.arange(5))[:, :3]
    assert (
        dropped - golden
    ).square().mean().sqrt() > 0.3  # what E(y) was in training with dropout; classes differ by .1
