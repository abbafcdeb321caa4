"""How networks are run: fused attention, recomputed activations, channels last and compiled code change no result."""

from dataclasses import replace

import pytest
import torch
from tiny import randomized
from torch.profiler import ProfilerActivity, profile

from lightning_mmdiff.networks.blocks import FUSED_LENGTH, Attention, attend
from lightning_mmdiff.networks.classifier import AttentionPool
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig
from lightning_mmdiff.networks.unet import UNetConfig

ADM = UNetConfig(
    in_channels=3, out_channels=3, channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(0,), num_heads=2,
    norm_groups=8,
)  # fmt: skip
LDM = CrossAttentionUNetConfig(
    in_channels=3, out_channels=3, channels=(16, 32), attention_levels=(0,), num_res_blocks=1, num_heads=4,
    context_dim=24, norm_groups=8,
)  # fmt: skip
BOTH = pytest.mark.parametrize("config", [ADM, LDM], ids=["adm", "ldm"])


def kernels(call) -> set[str]:
    with profile(activities=[ProfilerActivity.CPU]) as found:
        call()
    return {
        event.key for event in found.key_averages() if "scaled_dot_product" in event.key and "_for_cpu" in event.key
    }


def built(config):
    """The network with small noise as weights, which stay where they are in memory."""
    network, source = config.build().eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=source))
    return network


def gradients(network, side: int = 16):
    """Output and gradients on fixed inputs."""
    source = torch.Generator().manual_seed(1)
    z, tokens = torch.randn(2, 3, side, side, generator=source), torch.randn(2, 5, 24, generator=source)
    more = (tokens,) if isinstance(network.config, CrossAttentionUNetConfig) else ()
    out = network(z, torch.tensor([3, 900]), *more)
    return [out, *torch.autograd.grad(out.square().mean(), [p for p in network.parameters() if p.requires_grad])]


@pytest.mark.parametrize("side", [16, 4])
def test_attention_takes_the_fused_kernel_where_it_is_long(side) -> None:
    layer, x = Attention(32, 2, groups=8), torch.randn(2, 32, side, side)
    assert bool(kernels(lambda: layer(x))) == (side**2 >= FUSED_LENGTH)


def test_pooling_by_attention_has_one_query_and_equals_attention_written_out() -> None:
    pool, x = randomized(AttentionPool(256, 32, 2, 7)), torch.randn(2, 32, 16, 16)
    tokens = torch.cat([x.flatten(2).mean(2, keepdim=True), x.flatten(2)], 2) + pool.position
    q, k, v = pool.qkv(tokens).unflatten(1, (3, 2, -1)).unbind(1)  # [B, heads, d, L]
    weights = (q[..., :1].mT @ k / 4).softmax(-1)
    expected = pool.out((v @ weights.mT).flatten(1, 2))[..., 0]
    torch.testing.assert_close(pool(x), expected, rtol=1e-4, atol=1e-5)


def test_the_fused_kernel_gives_what_the_matrix_gives() -> None:
    q, k, v = (torch.randn(2, 3, 16, 300, dtype=torch.float64).mT for _ in range(3))
    torch.testing.assert_close(attend(q, k, v), (q @ k.mT / 4).softmax(-1) @ v)


@BOTH
@pytest.mark.parametrize(
    "change", [{"checkpointing": True}, {"channels_last": True}], ids=["checkpointing", "channels_last"]
)
def test_running_changes_no_result(config, change) -> None:
    plain, other = built(config), built(replace(config, **change))
    assert list(plain.state_dict()) == list(other.state_dict())
    for a, b in zip(gradients(plain), gradients(other.train(), 16), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@BOTH
def test_checkpointing_keeps_less(config) -> None:
    def kept(network):
        total = 0

        def pack(tensor):
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            z, tokens = torch.randn(2, 3, 16, 16), torch.randn(2, 5, 24)
            network(z, torch.tensor([3, 900]), *([tokens] if isinstance(config, CrossAttentionUNetConfig) else []))
        return total

    assert kept(built(replace(config, checkpointing=True)).train()) < 0.5 * kept(built(config).train())


def test_channels_last_reaches_the_activations() -> None:
    network, seen = built(replace(ADM, channels_last=True)), []
    network.down[1].register_forward_hook(lambda _, __, output: seen.append(output))
    gradients(network)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
@BOTH
def test_compiled_networks_give_the_same(config) -> None:
    plain, compiled = built(config), built(replace(config, compile=True))
    assert list(plain.state_dict()) == list(compiled.state_dict())
    for a, b in zip(gradients(plain), gradients(compiled), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    if isinstance(config, CrossAttentionUNetConfig):
        z, tokens = torch.randn(2, 3, 16, 16), torch.randn(2, 24)
        found, expected = (n.forward_with_features(z, torch.tensor(3), tokens) for n in (compiled, plain))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
