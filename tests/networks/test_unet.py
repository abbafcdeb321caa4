"""Our U-Net against parameter counts of the released checkpoints and against diffusers' independent one."""

import dataclasses

import pytest
import torch
from diffusers import UNet2DModel

from lightning_mmdiff.networks import conditions, presets
from lightning_mmdiff.networks.unet import UNet, UNetConfig

TINY = UNetConfig(
    in_channels=3,
    out_channels=6,
    channels=32,
    channel_mult=(1, 2, 3),
    num_res_blocks=2,
    attention_levels=(1, 2),
    head_channels=16,
)
SMALL = UNetConfig(
    in_channels=4,
    out_channels=3,
    channels=8,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_levels=(1,),
    num_heads=2,
    norm_groups=4,
)


def randomized(config: UNetConfig, **running) -> UNet:
    """The network with its zero-initialized layers filled too, so that nothing hides behind a zero."""
    torch.manual_seed(0)
    network = UNet(dataclasses.replace(config, **running))
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (presets.adm_64(), 295_904_454),
        (presets.adm_64(num_classes=None), 295_136_454),
        (presets.adm_128(), 421_529_606),
        (presets.adm_256(), 553_838_086),
        (presets.adm_256(num_classes=None), 552_814_086),
        (presets.unite_and_conquer_sketch(), 311_027_910),
    ],
)
def test_parameters_are_as_many_as_in_the_released_checkpoints(config, expected):
    with torch.device("meta"):
        assert count(UNet(config)) == expected


def test_face_network_has_the_released_parameters():
    with torch.device("meta"):
        network = UNet(presets.unite_and_conquer_face())
        encoder = conditions.ConditionEncoder(conditions.face_conditions())
    assert count(encoder) == 165
    assert count(network) + count(encoder) == 330_924_267
    assert sum(p.numel() for name, p in network.named_parameters() if ".embedding." in name) == 19_896_192


def diffusers_state(network: UNet) -> dict[str, torch.Tensor]:
    """Our weights under diffusers' names."""
    config, names = network.config, {}
    last = len(config.channel_mult) - 1
    names |= {"time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2"}
    names |= {"down.0.0": "conv_in", "out_norm": "conv_norm_out", "out_conv": "conv_out"}
    names |= {f"middle.{i}": f"mid_block.{n}" for i, n in enumerate(("resnets.0", "attentions.0", "resnets.1"))}
    i = 0
    for level in range(last + 1):
        for block in range(config.num_res_blocks):
            i += 1
            names |= {f"down.{i}.0": f"down_blocks.{level}.resnets.{block}"}
            names |= {f"down.{i}.1": f"down_blocks.{level}.attentions.{block}"}
        if level < last:
            i += 1
            names |= {f"down.{i}.0": f"down_blocks.{level}.downsamplers.0"}
    for u in range(last + 1):
        for block in range(config.num_res_blocks + 1):
            i, attends = u * (config.num_res_blocks + 1) + block, last - u in config.attention_levels
            names |= {f"up.{i}.0": f"up_blocks.{u}.resnets.{block}"}
            if attends:
                names |= {f"up.{i}.1": f"up_blocks.{u}.attentions.{block}"}
            names |= {f"up.{i}.{1 + attends}": f"up_blocks.{u}.upsamplers.0"} if block == config.num_res_blocks else {}
    layers = {"time": "time_emb_proj", "skip": "conv_shortcut", "norm": "group_norm", "out": "to_out.0"}
    state = {}
    for name, value in network.state_dict().items():
        stem, kind = name.rsplit(".", 1)
        if stem in names:
            state[f"{names[stem]}.{kind}"] = value
            continue
        block, layer = stem.rsplit(".", 1)
        value = value.squeeze(-1) if layer in ("qkv", "out") else value
        if layer == "qkv":
            state |= {f"{names[block]}.to_{n}.{kind}": v for n, v in zip("qkv", value.chunk(3))}
        else:
            state[f"{names[block]}.{layers.get(layer, layer)}.{kind}"] = value
    return state


@pytest.mark.parametrize("t", [7, 913, 42.3])
def test_equals_diffusers_unet(t):
    ours = randomized(TINY)
    theirs = UNet2DModel(
        in_channels=3,
        out_channels=6,
        block_out_channels=(32, 64, 96),
        layers_per_block=2,
        down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        resnet_time_scale_shift="scale_shift",
        downsample_type="resnet",
        upsample_type="resnet",
        attention_head_dim=16,
        attn_norm_num_groups=32,
        norm_eps=1e-5,
        freq_shift=0,
    ).eval()
    theirs.load_state_dict(diffusers_state(ours))  # strict
    x, t = torch.randn(2, 3, 16, 16), torch.full((2,), t)
    with torch.no_grad():
        a, b = ours(x, t), theirs(x, t).sample
    assert b.std() > 0.1
    assert (a - b).abs().max() < 1e-4


def test_starts_at_zero():
    torch.manual_seed(0)
    assert not UNet(TINY)(torch.randn(1, 3, 8, 8), torch.tensor([3])).any()


@pytest.mark.parametrize("updown", [True, False])
def test_gradients_reach_every_parameter(updown):
    config = dataclasses.replace(SMALL, resblock_updown=updown, embedding_dim=5, num_classes=3, patch_size=2)
    network = randomized(config)
    x, t = torch.randn(3, 4, 8, 8), torch.tensor([1, 500, 999])
    network(x, t, torch.randn(3, 5), torch.tensor([0, 1, 2])).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_rows_do_not_depend_on_each_other():
    # Null rows beside a row with an embedding: the released face network answers differently there.
    network = randomized(dataclasses.replace(SMALL, embedding_dim=5, num_classes=3))
    x, t = torch.randn(3, 4, 8, 8), torch.tensor([1.0, 500.0, 999.0])
    embedding, labels = torch.randn(3, 5) * torch.tensor([[1.0], [0], [0]]), torch.tensor([2, -1, 0])
    with torch.no_grad():
        joint = network(x, t, embedding, labels)
        alone = [network(x[i : i + 1], t[i : i + 1], embedding[i : i + 1], labels[i : i + 1]) for i in range(3)]
        absent = network(x[1:2], t[1:2], None, labels[1:2])
    torch.testing.assert_close(joint, torch.cat(alone), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(joint[1:2], absent, atol=1e-5, rtol=1e-5)


def test_embedding_and_label_matter():
    network = randomized(dataclasses.replace(SMALL, embedding_dim=5, num_classes=3))
    x, t, none = torch.randn(1, 4, 8, 8), torch.tensor([9]), torch.tensor([-1])
    with torch.no_grad():
        base = network(x, t, None, none)
        assert (network(x, t, torch.ones(1, 5), none) - base).abs().max() > 1e-3
        assert (network(x, t, None, torch.tensor([0])) - base).abs().max() > 1e-3


def test_second_adaptive_norm_is_the_formula_of_supplement_7_3():
    block = randomized(dataclasses.replace(SMALL, embedding_dim=5)).middle[0]
    x, time, embedding = torch.randn(2, 16, 4, 4), torch.randn(2, 32), torch.randn(2, 5)
    s1, b1 = block.time(time)[..., None, None].chunk(2, 1)
    s2, b2 = block.embedding(embedding)[..., None, None].chunk(2, 1)
    silu, norm = torch.nn.functional.silu, block.norm2
    h = norm(block.conv1(silu(block.norm1(x)))) * (1 + s1) + b1
    h = norm(h) * (1 + s2) + b2
    torch.testing.assert_close(block(x, time, embedding), x + block.conv2(silu(h)))


def test_checkpointing_changes_nothing_but_memory():
    plain, saving = randomized(SMALL), randomized(SMALL, checkpointing=True)
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([1, 2])
    for network in (plain, saving):
        network(x, t).square().sum().backward()
    for a, b in zip(plain.parameters(), saving.parameters()):
        torch.testing.assert_close(a.grad, b.grad)


def test_half_precision_normalizes_in_float32_and_returns_the_input_dtype():
    full, half = randomized(SMALL), randomized(SMALL).bfloat16()
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([1, 2])
    with torch.no_grad():
        a, b = full(x, t), half(x, t)
    assert b.dtype == torch.float32
    assert (a - b).abs().max() < 0.1 * a.std()
    large = torch.full((1, 16, 2, 2), 300.0, dtype=torch.float16) + torch.randn(1, 16, 2, 2).half()
    assert full.middle[0].norm1.half()(large).isfinite().all()  # 300^2 overflows float16


def test_middle_features():
    network = randomized(SMALL)
    out, _, middle = network.forward_with_features(torch.randn(2, 4, 8, 8), torch.tensor(3))
    assert out.shape == (2, 3, 8, 8)
    assert middle.shape == (2, SMALL.middle_channels, 8 // SMALL.multiple, 8 // SMALL.multiple)


def test_mini_unet_predicts_at_the_size_of_its_input():
    out = UNet(presets.mini_unet(5, 3, embedding_dim=4))(torch.randn(2, 5, 32, 32), torch.tensor([1, 2]))
    assert out.shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        ((1, 3, 8, 8), {}, "expected 4 channels"),
        ((1, 4, 7, 8), {}, "multiples of 2"),
        ((1, 4, 8, 8), {"embedding": torch.zeros(1, 9)}, "embedding is"),
        ((1, 4, 8, 8), {"labels": torch.zeros(1, dtype=torch.int64)}, "labels given"),
    ],
)
def test_wrong_inputs_say_what_was_expected(x, options, message):
    with pytest.raises(ValueError, match=message):
        UNet(SMALL)(torch.zeros(x), torch.tensor([0]), **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_channels": 4}, "head_channels or num_heads"),
        ({"attention_levels": (2,)}, "attention_levels"),
        ({"num_heads": 3}, "do not divide"),
        ({"norm_groups": 32}, "multiple of norm_groups"),
    ],
)
def test_impossible_configs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)
