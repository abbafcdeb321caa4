"""pix2pix and CycleGAN as junyanz/pytorch-CycleGAN-and-pix2pix publishes them: ``<name>_pretrained/latest_net_G.pth`` (BSD).

One generator each. pix2pix' files have no bias where a norm follows or at the first and the innermost step down: ours is zero
there. Statistics of norms are not read: each image is normalized by its own, as the published images are.
"""

import re

from lightning_mmdiff.baselines.cyclegan import FORWARD, CycleGANConfig
from lightning_mmdiff.baselines.pix2pix import Pix2PixConfig
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.released.checkpoint import SAME, Checkpoint, Key, KeyMap, PublishedFile, Shape

STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
GENERATOR = "generator."
"""Beginning of our names."""


def unet_name(name: str, num_downs: int) -> str | None:
    """Return the published name of a tensor of pix2pix' U-Net, whose steps are nested; None for the biases it lacks."""
    side, number, kind, part = name.split(".")
    step = int(number) if side == "down" else num_downs - 1 - int(number)
    start = "model.model" + ".1.model" * (step > 0) + ".3.model" * (step - 1)
    outermost, innermost = step == 0, step == num_downs - 1
    if side == "down":
        return (
            None
            if part == "bias" and kind == "layer"
            else f"{start}.{2 if kind == 'norm' else int(not outermost)}.{part}"
        )
    layer = 3 if outermost or innermost else 5
    return f"{start}.{layer + int(kind == 'norm')}.{part}"


def resnet_name(name: str, num_downs: int, num_blocks: int) -> str:
    """Return the published name of a tensor of the residual generator, of CycleGAN or pix2pixHD.

    Args:
        name: name of ours.
        num_downs: number of steps down.
        num_blocks: number of residual blocks.
    """
    part, layer, rest = re.fullmatch(r"(\d+)\.(?:layers\.)?(\d+)\.(.*)", name).groups()  # type: ignore[union-attr]
    place, blocks = int(part), 4 + 3 * num_downs
    if num_downs < place <= num_downs + num_blocks:
        return f"model.{blocks + place - 1 - num_downs}.conv_block.{layer}.{rest}"
    if place <= num_downs:
        return f"model.{1 + 3 * place}.{rest}"
    ups = place - 1 - num_downs - num_blocks
    return f"model.{blocks + num_blocks + 3 * ups + int(ups == num_downs)}.{rest}"


def pix2pix_key(config: Pix2PixConfig, name: str, shape: Shape) -> Key | None:
    """Return the place of a parameter of pix2pix' generator; None for a bias that the file lacks."""
    theirs = unet_name(name.removeprefix(GENERATOR), config.num_downs)
    return None if theirs is None else Key(theirs, SAME)


def cyclegan_key(config: CycleGANConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of CycleGAN's generator of images."""
    return Key(resnet_name(name.removeprefix(f"{GENERATOR}{FORWARD}."), config.num_downs, config.num_blocks), SAME)


def _file(name: str, config: ModelConfig, keys: KeyMap, inside: str) -> PublishedFile:
    checkpoint = Checkpoint(name=name, config=config, keys=keys, inside=(inside,))
    return PublishedFile(weight=name, checkpoints=(checkpoint,), ignored_ends=STATISTICS)


PIX2PIX, CYCLEGAN = (kind(image_size=256, source="photo") for kind in (Pix2PixConfig, CycleGANConfig))
FILES = (
    _file("pix2pix_day2night", PIX2PIX, pix2pix_key, GENERATOR),
    _file("cyclegan_photo2label", CYCLEGAN, cyclegan_key, f"{GENERATOR}{FORWARD}."),
)
"""One direction each, given the condition "photo"; discriminators and the way back are in no file."""
