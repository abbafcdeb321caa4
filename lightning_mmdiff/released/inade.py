"""INADE's generator and encoder of CelebAMask-HQ (Tan et al. 2021), ``inade_celeba/best_net_{G,E}.pth`` of tzt101/INADE.

For non-commercial use (CC BY-NC-SA 4.0). The released discriminator is not needed and not read.
"""

import re

from lightning_mmdiff.baselines.inade import InadeConfig
from lightning_mmdiff.released.checkpoint import BEHIND_NO_CLASS, SAME, Checkpoint, Key, KeyMap, PublishedFile, Shape

BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")
SPECTRAL = {
    "parametrizations.weight.original": "weight_orig", "parametrizations.weight.0._u": "weight_u",
    "parametrizations.weight.0._v": "weight_v", "bias": "bias",
}  # fmt: skip
"""Name of torch's new spectral norm -> of its old one."""
NORM = {"norm": "param_free_norm", "project": "fc_noise"}
ENCODER = {
    **{f"down.{i}": f"layer{i + 1}" for i in range(4)}, "up.0": "middle", **{f"up.{i}": f"up{i}" for i in (1, 2, 3)},
    **{f"heads.{i}": f"{kind}_conv_{part}" for i, (kind, part) in enumerate(
        (kind, part) for kind in ("scale", "bias") for part in ("mu", "var"))},
}  # fmt: skip
GENERATOR, READER = "generator.decoder.", "generator.encoder."
"""Beginnings of our names."""
CONFIG = InadeConfig(image_size=256, labels=(("mask", 19),), perceptual=None)
"""The condition "mask", of all classes, is its input."""


def generator_name(name: str) -> str:
    """Return the published name of a tensor of the generator."""
    if found := re.fullmatch(r"decoder\.blocks\.(\d)\.(convolutions\.\d|shortcut)\.(.*)", name):
        which = "s" if found[2] == "shortcut" else found[2][-1]
        return f"{BLOCKS[int(found[1])]}.conv_{which}.{SPECTRAL[found[3]]}"
    if found := re.fullmatch(r"decoder\.blocks\.(\d)\.(norms\.\d|shortcut_norm)\.(\w+)(.*)", name):
        which = "s" if found[2] == "shortcut_norm" else found[2][-1]
        return f"{BLOCKS[int(found[1])]}.norm_{which}.{NORM.get(found[3], found[3])}{found[4]}"
    return name.replace("first.", "fc.").replace("decoder.to_image.", "conv_img.")


def encoder_name(name: str) -> str:
    """Return the published name of a tensor of the encoder."""
    start, part = name.rsplit(".", 1)
    return f"{ENCODER[start]}.{part}"


def generator_key(config: InadeConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the generator in its file."""
    own = name.removeprefix(GENERATOR)
    of_classes = re.fullmatch(r"decoder\.blocks\.\d\.(norms\.\d|shortcut_norm)\.(weight|bias)", own)
    return Key(generator_name(own), BEHIND_NO_CLASS if of_classes else SAME)


def encoder_key(config: InadeConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the encoder in its file."""
    return Key(encoder_name(name.removeprefix(READER)), SAME)


def _file(weight: str, inside: str, keys: KeyMap) -> PublishedFile:
    checkpoint = Checkpoint(name="inade_celeba", config=CONFIG, keys=keys, inside=(inside,))
    return PublishedFile(weight=weight, checkpoints=(checkpoint,))


FILES = (_file("inade_generator", GENERATOR, generator_key), _file("inade_encoder", READER, encoder_key))
"""Both files are parts of one model; its discriminator is in neither."""
