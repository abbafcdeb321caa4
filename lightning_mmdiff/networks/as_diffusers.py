"""ADM's U-Net (``networks.unet``) as diffusers' UNet2DModel with the same weights, where that class can express it."""

from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.blocks import Attention, Resample, ResBlock
from lightning_mmdiff.networks.unet import UNet, UNetConfig


@torch.no_grad()
def as_diffusers(network: UNet) -> UNet2DModel:
    """Return a UNet2DModel with a copy of the weights, on the same device; both give the same output up to rounding.

    It reads the noisy image and the condition channels as one input. Without a class, it takes ``num_classes`` as the label.

    Raises:
        UserError: if the class cannot express the network; it says which part.
    """
    config = network.config
    if reasons := list(_lacking(config)):
        raise UserError(f"diffusers' UNet2DModel cannot express this U-Net: it has no {'; no '.join(reasons)}.")
    levels = range(len(config.channel_mult))
    attends = [level in config.attention_levels for level in levels]
    plain = (
        ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if config.resblock_updown else ("DownBlock2D", "UpBlock2D")
    )
    resample = "resnet" if config.resblock_updown else "conv"
    unet = UNet2DModel(
        in_channels=config.in_channels, out_channels=config.out_channels, layers_per_block=config.num_res_blocks,
        block_out_channels=tuple(map(config.width, levels)), dropout=config.dropout,
        down_block_types=tuple("AttnDownBlock2D" if a else plain[0] for a in attends),
        up_block_types=tuple("AttnUpBlock2D" if a else plain[1] for a in reversed(attends)),
        downsample_type=resample, upsample_type=resample, norm_num_groups=config.norm_groups,
        attn_norm_num_groups=config.norm_groups, attention_head_dim=next(iter(_head_widths(config))),
        resnet_time_scale_shift="scale_shift", num_class_embeds=config.num_classes and config.num_classes + 1,
    )  # fmt: skip
    for ours, theirs in zip(_ours(network), _theirs(unet), strict=True):
        theirs.load_state_dict(_weights(ours))
    if network.label is not None:
        none = network.label.weight.new_zeros(1, network.label.embedding_dim)  # no class adds nothing
        unet.class_embedding.load_state_dict({"weight": torch.cat([network.label.weight, none])})
    return unet.to(network.out_conv.weight.device).train(network.training)


def _lacking(config: UNetConfig) -> Iterator[str]:
    """Yield what the class lacks of a network."""
    if config.embedding_dim is not None:
        yield "second adaptive norm, for the embedding of an image or text"
    if config.context_dim is not None:
        yield "attention to the vectors of a text"
    if config.class_layers is not None:
        yield "class layers"
    if config.patch_size != 1:
        yield f"patches of {config.patch_size} pixels"
    if config.width(0) != config.channels:
        yield f"first level of {config.width(0)} channels with a timestep's features of {config.channels}"
    if not (config.resblock_updown or config.conv_resample):
        yield "change of size without a convolution or a residual block"
    if len(widths := _head_widths(config)) > 1:
        yield f"heads of several widths ({', '.join(map(str, sorted(widths)))} channels: num_heads, not head_channels)"


def _head_widths(config: UNetConfig) -> set[int]:
    """Return the channels of a head in every attention; the middle block always attends."""
    widths = {config.width(level) for level in (*config.attention_levels, -1)}
    return {config.head_channels or width // (config.num_heads or 1) for width in widths}


def _ours(network: UNet) -> Iterator[nn.Module]:
    """Yield the modules with weights, in the order of the computation."""
    yield from (network.time_embed[0], network.time_embed[2])
    for stack in (*network.down, network.middle, *network.up):
        yield from stack
    yield from (network.out_norm, network.out_conv)


def _theirs(unet: Any) -> Iterator[nn.Module]:
    """Yield the modules of diffusers' network, a UNet2DModel, in the same order."""
    yield from (unet.time_embedding.linear_1, unet.time_embedding.linear_2, unet.conv_in)
    for block in unet.down_blocks:
        yield from _block(block)
        yield from block.downsamplers or ()
    middle = unet.mid_block
    yield from (middle.resnets[0], middle.attentions[0], middle.resnets[1])
    for block in unet.up_blocks:
        yield from _block(block)
        yield from block.upsamplers or ()
    yield from (unet.conv_norm_out, unet.conv_out)


def _block(block: Any) -> Iterator[nn.Module]:
    attentions = getattr(block, "attentions", None)
    for number, resnet in enumerate(block.resnets):
        yield resnet
        if attentions is not None:
            yield attentions[number]


def _weights(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a module of ours under diffusers' names."""
    weights = module.state_dict()
    if isinstance(module, ResBlock):
        names = {"time": "time_emb_proj", "skip": "conv_shortcut"}
        return {f"{names.get(first, first)}.{rest}": w for (first, rest), w in _split(weights)}
    if isinstance(module, Attention):
        found = {f"group_norm.{rest}": w for (first, rest), w in _split(weights) if first == "norm"}
        found |= {
            f"to_out.0.{rest}": w.flatten(1) if w.ndim > 1 else w
            for (first, rest), w in _split(weights)
            if first == "out"
        }
        for name in ("weight", "bias"):
            parts = weights[f"qkv.{name}"].squeeze(-1).chunk(3)
            found |= {f"to_{letter}.{name}": part for letter, part in zip("qkv", parts)}
        return found
    assert isinstance(module, nn.Linear | nn.Conv2d | nn.GroupNorm | Resample)
    return weights


def _split(weights: dict[str, Tensor]) -> Iterator[tuple[tuple[str, str], Tensor]]:
    for name, value in weights.items():
        first, _, rest = name.partition(".")
        yield (first, rest), value
