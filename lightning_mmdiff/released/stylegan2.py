"""StyleGAN2 of FFHQ at 1024 pixels (Karras et al. 2020), and pSp's encoder of masks (Richardson et al. 2021).

The generator is that of NVIDIA as rosinality/stylegan2-pytorch converts it: the average is under "g_ema". pSp's file for masks
(``psp_celebs_seg_to_face.pt``) has encoder and generator under "state_dict", the mean style under "latent_avg", and its options,
which are not read. Both are for non-commercial use (NVIDIA Source Code License; pSp's own code is MIT).
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff.baselines.stylegan2 import StyleGAN2Config, StyleGenerator
from lightning_mmdiff.baselines.tedigan import MaskEncoder, MaskEncoderConfig
from lightning_mmdiff.released.renaming import renamed, stored

LAYER = {
    "convolution.weight": "conv.weight", "convolution.modulation.weight": "conv.modulation.weight",
    "convolution.modulation.bias": "conv.modulation.bias", "strength": "noise.weight", "bias": "activate.bias",
}  # fmt: skip
"""Part of a layer of ours -> its name in the file."""
KERNELS = r".*\.(blur|upsample)\.kernel"
ENCODER = {"first": "input_layer", "lateral.0": "latlayer1", "lateral.1": "latlayer2"}
UNIT = {"shortcut": "shortcut_layer", "residual": "res_layer"}
NUM_CLASSES = 19
"""Classes of CelebAMask-HQ, background included; each is a channel of our masks, and ours have one more for "no class"."""


def generator_name(name: str) -> str:
    """Return the published name of a tensor of the generator."""
    if found := re.fullmatch(r"mapping\.(\d+)\.(.*)", name):
        return f"style.{int(found[1]) + 1}.{found[2]}"
    if found := re.fullmatch(r"layers\.(\d+)\.(.*)", name):
        return f"{'conv1' if found[1] == '0' else f'convs.{int(found[1]) - 1}'}.{LAYER[found[2]]}"
    if found := re.fullmatch(r"to_rgb\.(\d+)\.(.*)", name):
        part = "bias" if found[2] == "bias" else LAYER[found[2]]
        return f"{'to_rgb1' if found[1] == '0' else f'to_rgbs.{int(found[1]) - 1}'}.{part}"
    return {"constant": "input.input"}.get(name, f"noises.{name}")


def encoder_name(name: str, units: tuple[int, ...]) -> str:
    """Return the published name of a tensor of the encoder, whose stages have so many units."""
    if found := re.fullmatch(r"stages\.(\d+)\.(\d+)\.(shortcut|residual)\.(.*)", name):
        number = sum(units[: int(found[1])]) + int(found[2])
        part = found[4].replace("shrink", "fc1").replace("grow", "fc2")
        return f"body.{number}.{UNIT[found[3]]}.{part}"
    if found := re.fullmatch(r"heads\.(\d+)\.convolutions\.(\d+)\.(.*)", name):
        return f"styles.{found[1]}.convs.{2 * int(found[2])}.{found[3]}"
    if found := re.fullmatch(r"heads\.(\d+)\.(linear.*)", name):
        return f"styles.{found[1]}.{found[2]}"
    start = next(start for start in ENCODER if name.startswith(f"{start}."))
    return ENCODER[start] + name.removeprefix(start)


def with_no_class(name: str, value: Tensor) -> Tensor:
    """Return the encoder's first weights with zeros for our class 0, "no class", which masks of all classes never have."""
    return torch.cat([torch.zeros_like(value[:, :1]), value], dim=1) if name == "first.0.weight" else value


def load_generator() -> StyleGenerator:
    """Return the published generator from the user's weights."""
    generator = StyleGenerator(StyleGAN2Config())
    published = stored("stylegan2_ffhq")["g_ema"]
    generator.load_state_dict(renamed(generator, published, generator_name, ignored=KERNELS), strict=True)
    return generator


def load_mask_encoder() -> MaskEncoder:
    """Return pSp's published encoder of masks with its generator; our condition "mask" is its input."""
    config = MaskEncoderConfig(
        image_size=256, labels=(("mask", NUM_CLASSES),), perceptual="effnet-lite0"
    )  # unused here
    encoder = config.build(seed=0, decoder=StyleGenerator(StyleGAN2Config()))
    put_mask_encoder(encoder, stored("psp_mask"))
    return encoder


def put_mask_encoder(encoder: MaskEncoder, published: Mapping[str, Any]) -> None:
    """Give an encoder and its generator the weights of pSp's file."""

    def part(prefix: str) -> dict[str, Tensor]:
        state = published["state_dict"]
        return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

    units = encoder.config.network.units
    weights = renamed(encoder.encoder, part("encoder."), lambda name: encoder_name(name, units), fit=with_no_class)
    encoder.encoder.load_state_dict(weights, strict=True)
    encoder.decoder.load_state_dict(
        renamed(encoder.decoder, part("decoder."), generator_name, ignored=KERNELS), strict=True
    )
    encoder.mean_style.copy_(published["latent_avg"].reshape(-1, encoder.decoder.style_dim)[0])
