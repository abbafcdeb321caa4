"""StyleGAN2 of FFHQ at 1024 pixels (Karras et al. 2020), and pSp's encoder of masks (Richardson et al. 2021).

The generator is that of NVIDIA as rosinality/stylegan2-pytorch converts it: the average is under "g_ema". pSp's file for masks
(``psp_celebs_seg_to_face.pt``) has encoder and generator under "state_dict", the mean style under "latent_avg", and its options,
which are not read. Both are for non-commercial use (NVIDIA Source Code License; pSp's own code is MIT).
"""

import re
from dataclasses import replace

from lightning_mmdiff.baselines.stylegan2 import StyleGAN2Config
from lightning_mmdiff.baselines.tedigan import MaskEncoderConfig
from lightning_mmdiff.released.checkpoint import (
    CHANNELS_BEHIND_NO_CLASS,
    SAME,
    Checkpoint,
    Key,
    Layout,
    PublishedFile,
    Shape,
    reshaped,
)

LAYER = {
    "convolution.weight": "conv.weight", "convolution.modulation.weight": "conv.modulation.weight",
    "convolution.modulation.bias": "conv.modulation.bias", "strength": "noise.weight", "bias": "activate.bias",
}  # fmt: skip
"""Part of a layer of ours -> its name in the file."""
KERNELS = (".blur.kernel", ".upsample.kernel")
ENCODER = {"first": "input_layer", "lateral.0": "latlayer1", "lateral.1": "latlayer2"}
UNIT = {"shortcut": "shortcut_layer", "residual": "res_layer"}
NUM_CLASSES = 19
"""Classes of CelebAMask-HQ, background included; each is a channel of our masks, and ours have one more for "no class"."""
NUM_STYLES = 18
"""Layers of the generator, each with a style."""
ENCODER_CONFIG = MaskEncoderConfig(image_size=256, labels=(("mask", NUM_CLASSES),), perceptual="effnet-lite0")
"""The condition "mask" is its input; the perceptual network is only for training."""


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


def generator_key(config: StyleGAN2Config, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the generator; some have dimensions of size 1 more there."""
    theirs = generator_name(name)
    if name.endswith("convolution.weight"):
        return Key(theirs, reshaped((1, *shape), shape))
    if name.startswith("to_rgb.") and name.endswith(".bias") and "modulation" not in name:
        return Key(theirs, reshaped((1, *shape, 1, 1), shape))
    return Key(theirs, SAME)


def decoder_key(config: StyleGAN2Config, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the generator in pSp's file."""
    key = generator_key(config, name, shape)
    return replace(key, name=f"decoder.{key.name}")


def encoder_key(config: MaskEncoderConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of pSp's encoder, or of the mean style, which the file has once for each layer."""
    if name == "mean_style":
        return Key("latent_avg", Layout(lambda value: value[0], lambda value: value.expand(NUM_STYLES, -1)))
    own = name.removeprefix("encoder.")
    layout = CHANNELS_BEHIND_NO_CLASS if own == "first.0.weight" else SAME
    return Key(f"encoder.{encoder_name(own, config.network.units)}", layout)


FILES = (
    PublishedFile(
        weight="stylegan2_ffhq",
        checkpoints=(Checkpoint(name="stylegan2_ffhq", config=StyleGAN2Config(), keys=generator_key),),
        ignored=("latent_avg",),
        ignored_ends=KERNELS,
    ),
    PublishedFile(
        weight="psp_mask",
        checkpoints=(
            Checkpoint(name="psp_generator", config=StyleGAN2Config(), keys=decoder_key, part="decoder."),
            Checkpoint(
                name="psp_mask", config=ENCODER_CONFIG, keys=encoder_key, inside=("encoder.", "mean_style"),
                helpers=(("decoder", ("psp_generator",)),),
            ),
        ),
        ignored_ends=KERNELS,
    ),
)  # fmt: skip
