"""The networks of the baselines: published sizes, and identities that need no reference code."""

import dataclasses

import pytest
import small
import torch
import torch.nn.functional as F  # noqa: N812
from small import millions
from torch import nn

from lightning_mmdiff.baselines.adversarial import AdversarialConfig
from lightning_mmdiff.baselines.cyclegan import CycleGANConfig
from lightning_mmdiff.baselines.inade import InadeConfig, InstanceAdaptiveNorm
from lightning_mmdiff.baselines.inade_encoder import InstanceConvolution, InstanceEncoder
from lightning_mmdiff.baselines.oasis import OasisConfig
from lightning_mmdiff.baselines.pix2pix import Pix2PixConfig
from lightning_mmdiff.baselines.pix2pix_unet import ImageStatisticsNorm
from lightning_mmdiff.baselines.pix2pixhd import Pix2PixHDConfig
from lightning_mmdiff.baselines.spade import SpadeConfig
from lightning_mmdiff.baselines.spatially_adaptive import SpatiallyAdaptiveNorm

PUBLISHED = {"image_size": 256, "labels": (("mask", 18),)}  # 19 classes with the background


@pytest.mark.parametrize(
    ("config", "generator", "discriminator"),
    [
        (SpadeConfig(**PUBLISHED, perceptual=None), 92.54, 5.57),
        (OasisConfig(**PUBLISHED), 70.67, 22.25),
        (Pix2PixHDConfig(**PUBLISHED, perceptual=None), 182.49, 5.57),
        (Pix2PixConfig(image_size=256, source="photo"), 54.41, 2.77),
        (CycleGANConfig(image_size=256, source="photo"), 2 * 11.38, 2 * 2.765),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AdversarialConfig) else "",
)
def test_sizes(config: AdversarialConfig, generator: float, discriminator: float) -> None:
    with torch.device("meta"):
        model = config.build(seed=0)
    assert millions(model.generator) == pytest.approx(generator, abs=0.006)
    assert millions(model.discriminator) == pytest.approx(discriminator, abs=0.006)


def test_size_of_inade() -> None:
    with torch.device("meta"):
        model = InadeConfig(**PUBLISHED, perceptual=None).build(seed=0)
    assert (millions(model.generator["decoder"]), millions(model.generator["encoder"])) == (85.12, 3.69)


def test_spade_norm_of_an_empty_map_is_plain_batch_norm() -> None:
    norm, x = SpatiallyAdaptiveNorm(6, 3, hidden=8), torch.randn(4, 6, 5, 5)
    assert torch.allclose(norm(x, torch.zeros(4, 3, 20, 20)), nn.BatchNorm2d(6, affine=False)(x))
    assert not torch.allclose(norm(x, 100 * torch.ones(4, 3, 20, 20)), nn.BatchNorm2d(6, affine=False)(x), atol=1e-3)


def test_inade_norm_by_hand() -> None:
    norm = InstanceAdaptiveNorm(2, 3, 4)
    nn.init.normal_(norm.bias)
    x, noise = torch.randn(1, 2, 2, 2), torch.randn(1, 3, 2, 4)
    labels = torch.eye(3)[torch.tensor([[[0, 1], [2, 2]]])].permute(0, 3, 1, 2)
    got, plain = norm(x, (labels, noise)), nn.BatchNorm2d(2, affine=False)(x)
    for row, column, k in ((0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 2)):
        n = norm.project(noise[0, k])  # [2, C]: scale, shift
        scale = norm.weight[k, :, 0] * n[0] + norm.bias[k, :, 0]
        shift = norm.weight[k, :, 1] * n[1] + norm.bias[k, :, 1]
        assert torch.allclose(got[0, :, row, column], scale * plain[0, :, row, column] + shift, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_instance_convolution_sees_its_own_class_only(stride: int) -> None:
    layer, x = InstanceConvolution(3, 4, stride), torch.randn(2, 3, 8, 8)
    one = layer(x, torch.zeros(2, 1, 8, 8))
    assert torch.allclose(one, F.conv2d(x, layer.weight, layer.bias, stride=stride, padding=1), atol=1e-5)
    classes = torch.randint(3, (2, 1, 8, 8)).float()
    masks = [(classes == k).float() for k in range(3)]
    parts = [F.conv2d(x * m, layer.weight, stride=stride, padding=1) * m[..., ::stride, ::stride] for m in masks]
    expected = torch.stack(parts).sum(0) + layer.bias[:, None, None]
    assert torch.allclose(layer(x, classes), expected, atol=1e-5)


def test_the_encoder_says_nothing_of_absent_classes() -> None:
    labels = torch.zeros(2, 3, 32, 32)
    labels[:, 0, :16], labels[:, 2, 16:] = 1, 1
    mean, log_variance = InstanceEncoder(4, 5)(torch.randn(2, 3, 32, 32), labels)
    assert mean.shape == log_variance.shape == (2, 3, 2, 5)
    assert mean[:, 1].eq(0).all()
    assert mean[:, 0].ne(0).all()


def test_an_image_is_normalized_as_a_batch_of_one() -> None:
    norm, x = ImageStatisticsNorm(3), torch.randn(4, 3, 6, 6)
    alone = torch.cat([norm(image[None]) for image in x])
    assert torch.allclose(norm.eval()(x), alone, atol=1e-6)


def test_inade_keeps_its_last_class() -> None:
    config = small.CONFIGS["inade"]
    model = config.build(seed=0).eval()
    for layer in model.modules():
        if isinstance(layer, InstanceAdaptiveNorm):
            nn.init.normal_(layer.bias)
    labels = torch.zeros(1, 3, 32, 32)
    labels[:, 0] = 1
    last = labels.roll(2, dims=1)
    noise = model.noise_of([torch.Generator().manual_seed(0)])
    assert not torch.equal(
        model.generate(labels, noise), model.generate(last, model.noise_of([torch.Generator().manual_seed(0)]))
    )


@pytest.mark.parametrize("name", ["spade", "inade", "oasis"])
def test_the_initial_gain_changes_the_weights_under_spectral_norm_and_no_output(name: str) -> None:
    published = small.CONFIGS[name]
    large = dataclasses.replace(published, initial_gain=1.0)
    one, other = (config.build(seed=0).eval() for config in (published, large))
    key = next(key for key in one.state_dict() if key.startswith("generator") and key.endswith("weight.original"))
    assert torch.allclose(one.state_dict()[key] * 50, other.state_dict()[key])
    labels = torch.zeros(1, 3, *2 * (published.image_size,))
    labels[:, 1] = 1
    images = [m.generate(labels, m.noise_of([torch.Generator().manual_seed(0)])) for m in (one, other)]
    assert torch.allclose(*images, atol=1e-5)
