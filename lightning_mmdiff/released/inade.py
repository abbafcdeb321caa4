"""INADE's generator and encoder of CelebAMask-HQ (Tan et al. 2021), ``inade_celeba/best_net_{G,E}.pth`` of tzt101/INADE.

For non-commercial use (CC BY-NC-SA 4.0). The released discriminator is not needed and not read.
"""

import re

import torch
from torch import Tensor

from lightning_mmdiff.baselines.inade import Inade, InadeConfig
from lightning_mmdiff.released.renaming import renamed, stored

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
NUM_CLASSES = 19


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


def with_no_class(name: str, value: Tensor) -> Tensor:
    """Return a norm's values of each class with zeros for our class 0, "no class", which masks of all classes never have."""
    if re.fullmatch(r"decoder\.blocks\.\d\.(norms\.\d|shortcut_norm)\.(weight|bias)", name):
        return torch.cat([torch.zeros_like(value[:1]), value])
    return value


def load() -> Inade:
    """Return the published model from the user's weights; our condition "mask" is its input."""
    model = InadeConfig(image_size=256, labels=(("mask", NUM_CLASSES),), perceptual=None).build(seed=0)
    put(model, stored("inade_generator"), stored("inade_encoder"))
    return model


def put(model: Inade, generator: dict[str, Tensor], encoder: dict[str, Tensor]) -> None:
    """Give a model the weights of both published files."""
    decoder = model.generator["decoder"]
    decoder.load_state_dict(renamed(decoder, generator, generator_name, fit=with_no_class), strict=True)
    reader = model.generator["encoder"]
    reader.load_state_dict(renamed(reader, encoder, encoder_name), strict=True)
