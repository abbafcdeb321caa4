"""Names in files of latent diffusion's code (Rombach et al. 2022), as Collaborative Diffusion publishes them, for our networks.

Ours are diffusers' U-Net and autoencoder, and our own text transformer. No order of heads differs; the autoencoder's attention is
made of 1x1 convolutions in the files.
"""

import re

from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig
from lightning_mmdiff.networks.vae import VAEConfig
from lightning_mmdiff.released.checkpoint import POINTWISE, SAME, Key, Shape

RES_BLOCK = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
OUTSIDE = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
AUTOENCODER_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
TEXT_LAYER = {
    "norm1": "0.0", "query": "0.1.to_q", "key": "0.1.to_k", "value": "0.1.to_v", "out": "0.1.to_out", "norm2": "1.0",
    "feed_forward.0": "1.1.net.0.0", "feed_forward.2": "1.1.net.2",
}  # fmt: skip
"""Part of a layer of ours -> which of the file's two layers (attention, feed-forward), and the part there."""


def unet_name(config: CrossAttentionUNetConfig, name: str) -> str:
    """Return the file's name of a parameter of diffusers' U-Net."""
    blocks, levels = config.num_res_blocks + 1, len(config.channels)
    if found := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name):
        side, block, kind, index, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        if kind == "downsamplers":
            return f"input_blocks.{(block + 1) * blocks}.0.{rest.replace('conv.', 'op.')}"
        if kind == "upsamplers":
            attends = levels - 1 - block in config.attention_levels
            return f"output_blocks.{block * blocks + blocks - 1}.{2 if attends else 1}.{rest}"
        stack = (
            f"input_blocks.{block * blocks + index + 1}"
            if side == "down"
            else f"output_blocks.{block * blocks + index}"
        )
        return f"{stack}.0.{_renamed(rest, RES_BLOCK)}" if kind == "resnets" else f"{stack}.1.{rest}"
    if found := re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", name):
        if found[1] == "attentions":
            return f"middle_block.1.{found[3]}"
        return f"middle_block.{2 * int(found[2])}.{_renamed(found[3], RES_BLOCK)}"
    return _renamed(name, OUTSIDE)


def autoencoder_key(config: VAEConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of diffusers' autoencoder."""
    last = len(config.channels) - 1
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{last - int(m[1])}.block.", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0\.", lambda m: f"up.{last - int(m[1])}.upsample.", name)
    name = re.sub(r"mid_block\.resnets\.(\d+)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", name)
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    if found := re.match(r"(.*)mid_block\.attentions\.0\.(.*)", name):
        return Key(
            f"{found[1]}mid.attn_1.{_renamed(found[2], AUTOENCODER_ATTENTION)}", POINTWISE if len(shape) == 2 else SAME
        )
    return Key(name, SAME)


def text_name(name: str) -> str:
    """Return the file's name of a parameter of the text transformer."""
    if found := re.match(r"layers\.(\d+)\.(.*)", name):
        which, _, rest = _renamed(found[2], TEXT_LAYER).partition(".")
        return f"attn_layers.layers.{2 * int(found[1]) + int(which)}.{rest}"
    return _renamed(name, {"embedding": "token_emb", "position": "pos_emb.emb.weight"})


def _renamed(name: str, parts: dict[str, str]) -> str:
    """Return ``name`` with its beginning replaced, if it is one of ``parts``."""
    for ours, theirs in parts.items():
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    return name
