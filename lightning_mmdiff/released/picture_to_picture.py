"""pix2pix and CycleGAN as junyanz/pytorch-CycleGAN-and-pix2pix publishes them: ``<name>_pretrained/latest_net_G.pth`` (BSD).

One generator each. pix2pix' files have no bias where a norm follows or at the first and the innermost step down: ours is zero
there. Statistics of norms are not read: each image is normalized by its own, as the published images are.
"""

import re

from torch import Tensor

from lightning_mmdiff.baselines.cyclegan import FORWARD, CycleGAN, CycleGANConfig
from lightning_mmdiff.baselines.pix2pix import Pix2Pix, Pix2PixConfig
from lightning_mmdiff.released.renaming import renamed, stored

STATISTICS = r".*\.(running_mean|running_var|num_batches_tracked)"


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


def put_pix2pix(model: Pix2Pix, published: dict[str, Tensor]) -> None:
    """Give pix2pix' generator its published weights."""
    downs = model.config.num_downs
    model.generator.load_state_dict(
        renamed(model.generator, published, lambda name: unet_name(name, downs), ignored=STATISTICS), strict=True
    )


def put_cyclegan(model: CycleGAN, published: dict[str, Tensor]) -> None:
    """Give CycleGAN's generator of images its published weights."""
    config, generator = model.config, model.generator[FORWARD]
    found = renamed(
        generator, published, lambda name: resnet_name(name, config.num_downs, config.num_blocks), ignored=STATISTICS
    )
    generator.load_state_dict(found, strict=True)


def load_pix2pix(weight: str) -> Pix2Pix:
    """Return a published pix2pix of 256 pixels, given the condition "photo"."""
    model = Pix2PixConfig(image_size=256, source="photo").build(seed=0)
    put_pix2pix(model, stored(weight))
    return model


def load_cyclegan(weight: str) -> CycleGAN:
    """Return one direction of a published CycleGAN of 256 pixels, given the condition "photo"."""
    model = CycleGANConfig(image_size=256, source="photo").build(seed=0)
    put_cyclegan(model, stored(weight))
    return model
