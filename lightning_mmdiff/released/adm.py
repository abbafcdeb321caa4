"""ADM (Dhariwal & Nichol 2021): diffusion models of ImageNet, an upsampler and classifiers, from guided-diffusion's README.

Every file is a flat state dict. The U-Net of 64 pixels has our order of query, key and value; the others come head by head, as
the bodies of all classifiers do (their pools have our order).
"""

from collections.abc import Callable

from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.noisy_classifier import NoisyClassifierConfig
from lightning_mmdiff.networks import presets
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released.checkpoint import SAME, Checkpoint, Key, PublishedFile, Shape, head_by_head
from lightning_mmdiff.schedules import ScheduleName

UNET = {
    "down": "input_blocks", "middle": "middle_block", "up": "output_blocks", "out_norm": "out.0", "out_conv": "out.2",
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3", "label": "label_emb",
    "time": "emb_layers.1", "embedding": "cond_emb_layers.1", "skip": "skip_connection", "out": "proj_out",
}  # fmt: skip
"""Part of a name in our U-Net -> the part in the file."""
POOL = {
    "norm": "out.0", "pool.position": "out.2.positional_embedding", "pool.qkv": "out.2.qkv_proj", "pool.out": "out.2.c_proj"
}  # fmt: skip
"""Beginning of a name in our classifier -> the beginning in the file."""
OPTIMIZER = OptimizerConfig(lr=1e-4)
"""ADM's rate; it matters only to a training that starts from these weights."""


def unet_name(name: str) -> str:
    """Return the file's name of a parameter of the U-Net."""
    return ".".join(UNET.get(part, part) for part in name.split("."))


def unet_key(network: UNetConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the U-Net, with queries, keys and values head by head.

    Args:
        network: shape of the U-Net.
        name: name in our U-Net.
        shape: shape of the parameter.
    """
    if ".qkv." not in name:
        return Key(unet_name(name), SAME)
    width = shape[0] // 3
    heads = network.num_heads or width // (network.head_channels or width)
    return Key(unet_name(name), head_by_head(heads, 3))


def head_by_head_keys(config: DenoiserConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of a denoiser whose queries, keys and values come head by head."""
    return unet_key(config.network, name.removeprefix("network."), shape)


def our_order_keys(config: DenoiserConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of a denoiser whose queries, keys and values are in our order."""
    return Key(unet_name(name.removeprefix("network.")), SAME)


def classifier_keys(config: NoisyClassifierConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of a classifier: its body head by head, its pool in our order."""
    own = name.removeprefix("network.")
    for ours, theirs in POOL.items():
        if own == ours or own.startswith(f"{ours}."):
            return Key(theirs + own.removeprefix(ours), SAME)
    if ".qkv." in own:
        return Key(unet_name(own), head_by_head(shape[0] // 3 // config.network.head_channels, 3))
    return Key(unet_name(own), SAME)


def _diffusion(
    name: str, size: int, network: UNetConfig, schedule: ScheduleName, keys: Callable = head_by_head_keys,
    spatial: tuple[tuple[str, int], ...] = (),
) -> PublishedFile:  # fmt: skip
    """Return a diffusion model's file. ADM learned no null class; Unite and Conquer's code gives class 0 (PITFALLS 13)."""
    label = None if network.num_classes is None else ("label", network.num_classes)
    config = DenoiserConfig(
        network=network,
        conditions=ConditionConfig(spatial=spatial, label=label, null_label=0 if label else -1),
        image_size=size, schedule=schedule, learned_variance=True, optimizer=OPTIMIZER,
    )  # fmt: skip
    return PublishedFile(weight=name, checkpoints=(Checkpoint(name=name, config=config, keys=keys),))


def _classifier(size: int) -> PublishedFile:
    """Return the file of the classifier of noisy images of ``size`` pixels."""
    config = NoisyClassifierConfig(
        network=presets.adm_classifier(size), schedule="cosine" if size == 64 else "linear", optimizer=OPTIMIZER
    )
    name = f"adm_classifier_{size}"
    return PublishedFile(weight=name, checkpoints=(Checkpoint(name=name, config=config, keys=classifier_keys),))


FILES = (
    _diffusion("adm_64", 64, presets.adm_64(), "cosine", our_order_keys),
    _diffusion("adm_128", 128, presets.adm_128(), "linear"),
    _diffusion("adm_256", 256, presets.adm_256(), "linear"),
    _diffusion("adm_256_uncond", 256, presets.adm_256(num_classes=None), "linear"),
    _diffusion("adm_512", 512, presets.adm_512(), "linear"),
    _diffusion("adm_upsampler_256", 256, presets.adm_upsampler_256(), "linear", spatial=(("low_res", 3),)),
    *map(_classifier, (64, 128, 256, 512)),
)
