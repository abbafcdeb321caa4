"""FiLM and cross-attention on a class: what they must equal, alone and inside the U-Net."""

import dataclasses

import pytest
import torch
from tiny import randomized, tiny_config

from lightning_mmdiff.networks.blocks import ResBlock
from lightning_mmdiff.networks.class_layers import ClassLayerConfig, ClassTokens, CrossAttention, FiLM
from lightning_mmdiff.networks.unet import UNet, UNetConfig

PLAIN = dataclasses.replace(tiny_config(spatial=()).network, attention_levels=(1,))
FILM = ClassLayerConfig(kind="film", dim=6)
ATTENTION = ClassLayerConfig(kind="cross-attention", dim=6, num_tokens=3, num_heads=2)
FIRST = dataclasses.replace(FILM, every_block=False)
KINDS = pytest.mark.parametrize("layers", [FILM, ATTENTION, FIRST], ids=["film", "cross-attention", "first"])


def config(layers: ClassLayerConfig) -> UNetConfig:
    return dataclasses.replace(PLAIN, num_classes=4, class_layers=layers)


def network(layers: ClassLayerConfig, **running) -> UNet:
    return randomized(UNet(dataclasses.replace(config(layers), **running))).eval()


def without_class(model: UNet) -> UNet:
    """The same network with the layers of the class taken out."""
    plain = UNet(PLAIN).eval()
    for ours, theirs in zip(plain.modules(), (m for m in model.modules() if not of_class(m, model)), strict=True):
        for (name, mine), (other, copied) in zip(
            ours.named_parameters(recurse=False), theirs.named_parameters(recurse=False)
        ):
            assert (name, mine.shape) == (other, copied.shape)
            mine.data = copied.data.clone()
    return plain


def of_class(module: torch.nn.Module, model: UNet) -> bool:
    owners = [m for m in model.modules() if isinstance(m, FiLM | CrossAttention | ClassTokens)]
    return any(module is part for owner in owners for part in owner.modules())


def inputs(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, 3, 8, 8, generator=generator), torch.tensor(300)


@KINDS
@torch.no_grad()
def test_zero_scale_and_shift_are_no_condition(layers):
    """As the layers start: the trained rest of the network does not notice them."""
    model, (x, t) = network(layers), inputs()
    for layer in model.modules():
        if isinstance(layer, FiLM | CrossAttention):
            torch.nn.init.zeros_((layer.modulation if isinstance(layer, FiLM) else layer.out).weight)
    torch.testing.assert_close(model(x, t, labels=torch.tensor([2, -1, 0])), without_class(model)(x, t))


@KINDS
def test_the_layers_start_so_and_learn(layers):
    torch.manual_seed(0)
    model = UNet(config(layers))
    found = [m for m in model.modules() if isinstance(m, FiLM | CrossAttention)]
    ends = [layer.modulation if isinstance(layer, FiLM) else layer.out for layer in found]
    assert not any(end.weight.any() for end in ends)
    torch.nn.init.normal_(model.out_conv.weight)  # or nothing before it has a gradient
    x, t = inputs()
    model(x, t, labels=torch.tensor([2, 1, 0])).square().sum().backward()
    assert all(end.weight.grad is not None and end.weight.grad.any() for end in ends)


@KINDS
@torch.no_grad()
def test_the_null_class_leaves_a_trained_network_as_it_is(layers):
    model, (x, t) = network(layers), inputs()
    torch.testing.assert_close(model(x, t, labels=torch.full((3,), -1)), without_class(model)(x, t))


@KINDS
@torch.no_grad()
def test_the_label_matters_row_by_row(layers):
    model, (x, t) = network(layers), inputs()
    labels = torch.tensor([2, -1, 0])
    together = model(x, t, labels=labels)
    alone = torch.cat([model(x[i : i + 1], t, labels=labels[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    other = model(x, t, labels=torch.tensor([1, -1, 3]))
    change = (together - other).abs().amax(dim=(1, 2, 3))
    assert change[1] == 0
    assert (change[[0, 2]] > 1e-3).all()


def test_a_layer_follows_every_block_or_the_first_convolution():
    for layers, expected in ((FILM, "every"), (ATTENTION, "every"), (FIRST, "first")):
        model = UNet(dataclasses.replace(config(layers), resblock_updown=False))
        stacks = [[type(layer) for layer in stack] for stack in (*model.down, model.middle, *model.up)]
        blocks = sum(layer is ResBlock for stack in stacks for layer in stack)
        found = [stack[i - 1] for stack in stacks for i, layer in enumerate(stack) if layer in (FiLM, CrossAttention)]
        if expected == "every":
            assert found == [ResBlock] * blocks
        else:
            assert found == [torch.nn.Conv2d]
            assert FiLM in stacks[0]


@KINDS
def test_checkpointing_changes_no_gradient(layers):
    x, t = inputs()
    gradients = []
    for checkpointing in (False, True):
        model = network(layers, checkpointing=checkpointing)
        model(x, t, labels=torch.tensor([2, 1, 0])).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.equal(*gradients)


@torch.no_grad()
def test_film_is_a_scale_and_a_shift_of_each_channel():
    layer, h = randomized(FiLM(5, 6)), torch.randn(2, 5, 4, 4)
    tokens = ClassTokens(4, 1, 6)(torch.tensor([3, 1]))
    out = layer(h, tokens)
    for row in range(2):
        scale, shift = (layer.modulation.weight @ tokens[row, 0]).chunk(2)
        for channel in range(5):
            expected = (1 + scale[channel]) * h[row, channel] + shift[channel]
            torch.testing.assert_close(out[row, channel], expected)


@torch.no_grad()
def test_cross_attention_is_the_softmax_of_scaled_products():
    layer, h = randomized(CrossAttention(8, ATTENTION, groups=4)), torch.randn(2, 8, 3, 5)
    tokens = torch.randn(2, 3, 6)
    out = layer(h, tokens)
    normed = layer.norm(h)
    weight, bias = layer.query.weight[:, :, 0], layer.query.bias
    keys, values = layer.key_value.weight[:6], layer.key_value.weight[6:]
    for row, y, x in ((0, 0, 0), (1, 2, 4)):
        query = weight @ normed[row, :, y, x] + bias
        answer = torch.zeros(6)
        for head in (slice(0, 3), slice(3, 6)):
            scores = torch.stack([(keys @ token)[head] @ query[head] for token in tokens[row]]) / 3**0.5
            answer[head] = sum(s * (values @ token)[head] for s, token in zip(scores.softmax(0), tokens[row]))
        expected = h[row, :, y, x] + layer.out.weight[:, :, 0] @ answer
        torch.testing.assert_close(out[row, :, y, x], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_attention_over_one_token_adds_one_vector_to_every_pixel():
    one = dataclasses.replace(ATTENTION, num_tokens=1)
    layer, h = randomized(CrossAttention(8, one, groups=4)), torch.randn(2, 8, 4, 4)
    tokens = torch.randn(2, 1, 6)
    added = layer(h, tokens) - h
    value = layer.out.weight[:, :, 0] @ layer.key_value.weight[6:]
    torch.testing.assert_close(added, (tokens[:, 0] @ value.T)[:, :, None, None].expand_as(h), atol=1e-5, rtol=1e-5)
    torch.nn.init.normal_(layer.query.weight)  # whatever is asked, the one answer is the same
    torch.testing.assert_close(layer(h, tokens) - h, added, atol=1e-5, rtol=1e-5)
    several = layer(h, torch.randn(2, 3, 6)) - h
    assert several.std(dim=(2, 3)).min() > 1e-4


def test_configs_that_cannot_be():
    with pytest.raises(ValueError, match=r"FiLM reads one vector .* num_tokens=2"):
        ClassLayerConfig(kind="film", dim=6, num_tokens=2)
    with pytest.raises(ValueError, match="4 heads and dim 6"):
        ClassLayerConfig(kind="cross-attention", dim=6, num_heads=4)
    with pytest.raises(ValueError, match="class_layers need num_classes"):
        dataclasses.replace(PLAIN, class_layers=FILM)
    model, (x, t) = network(FILM), inputs()
    with pytest.raises(ValueError, match="labels missing"):
        model(x, t)
