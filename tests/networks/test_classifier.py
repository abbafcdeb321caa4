"""ADM's classifier: parameter counts of the released files, attention pooling by the formula, rows on their own."""

import dataclasses
import math

import pytest
import torch

from lightning_mmdiff.networks import presets
from lightning_mmdiff.networks.classifier import AttentionPool, Classifier, ClassifierConfig
from lightning_mmdiff.networks.unet import UNet

SMALL = ClassifierConfig(
    num_classes=5, image_size=8, channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(1,),
    head_channels=8, norm_groups=4,
)  # fmt: skip


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def randomized(config: ClassifierConfig) -> Classifier:
    torch.manual_seed(0)
    network = Classifier(config)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.mark.parametrize(
    ("image_size", "parameters"), [(64, 65_438_568), (128, 42_568_040), (256, 54_096_360), (512, 54_448_360)]
)
def test_parameters_of_the_released_classifiers(image_size, parameters):
    with torch.device("meta"):
        assert count(Classifier(presets.adm_classifier(image_size))) == parameters


def test_parameters_of_the_networks_they_guide():
    with torch.device("meta"):
        assert count(UNet(presets.adm_64())) == 295_904_454
        assert count(UNet(presets.adm_128())) == 421_529_606


def test_attention_pool_is_the_formula():
    torch.manual_seed(0)
    pool, x = AttentionPool(6, 8, 2, 3), torch.randn(4, 8, 2, 3)
    tokens = x.reshape(4, 8, 6)
    tokens = torch.cat([tokens.mean(2, keepdim=True), tokens], 2) + pool.position
    q, k, v = (torch.einsum("oc,bcl->bol", w, tokens) for w in pool.qkv.weight[:, :, 0].chunk(3))
    q, k, v = (a + b[:, None] for a, b in zip((q, k, v), pool.qkv.bias.chunk(3)))
    heads = []
    for rows in (slice(0, 4), slice(4, 8)):  # two heads of four channels
        weight = (torch.einsum("bcq,bck->bqk", q[:, rows], k[:, rows]) / math.sqrt(4)).softmax(dim=2)
        heads.append(torch.einsum("bqk,bck->bcq", weight, v[:, rows])[:, :, 0])  # the mean's answer
    expected = torch.cat(heads, 1) @ pool.out.weight[:, :, 0].T + pool.out.bias
    torch.testing.assert_close(pool(x), expected)


@pytest.mark.parametrize("change", [{}, {"resblock_updown": False, "patch_size": 2, "image_size": 16}])
def test_gradients_reach_every_parameter_and_the_image(change):
    network = randomized(dataclasses.replace(SMALL, **change))
    size = network.config.image_size
    x = torch.randn(3, 3, size, size, requires_grad=True)
    logits = network(x, torch.tensor([0, 400, 999]))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    assert x.grad.abs().amin(dim=(2, 3)).min() > 0
    # A bias of all keys moves every score of a softmax alike, so it has no gradient but for rounding.
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_rows_do_not_depend_on_each_other_but_on_the_time():
    network = randomized(SMALL)
    x, t = torch.randn(3, 3, 8, 8), torch.tensor([0.0, 400.5, 999.0])
    together = network(x, t)
    alone = torch.cat([network(x[i : i + 1], t[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert (network(x, torch.tensor(7)) - together).abs().max() > 1e-3


def test_mini_classifier_is_small():
    network = Classifier(presets.mini_classifier(7))
    assert network(torch.randn(2, 3, 32, 32), torch.tensor(0)).shape == (2, 7)
    assert count(network) < 700_000


def test_another_image_size_is_refused():
    with pytest.raises(ValueError, match=r"made for \[B, 3, 8, 8\]"):
        Classifier(SMALL)(torch.zeros(1, 3, 16, 16), torch.tensor(0))
    with pytest.raises(ValueError, match="64, 128, 256, 512 pixels, not for 32"):
        presets.adm_classifier(32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention_levels": (2,)}, "attention_levels"),
        ({"image_size": 9}, "multiple of 2"),
        ({"norm_groups": 32}, "multiple of norm_groups"),
        ({"head_channels": 12}, "heads of 12"),
    ],
)
def test_impossible_configs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)
