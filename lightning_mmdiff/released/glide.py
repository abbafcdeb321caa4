"""GLIDE (Nichol et al. 2022): text to 64 pixels and the upsampler to 256, the filtered models that OpenAI published.

A file is one flat state dict of U-Net and text transformer. Queries, keys and values come head by head in both, and so do the
keys and values that the U-Net makes of the text.
"""

from lightning_mmdiff.models.text_denoiser import TextDenoiserConfig
from lightning_mmdiff.networks import presets
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.text_encoder import TextEncoderConfig
from lightning_mmdiff.released.adm import OPTIMIZER, unet_key
from lightning_mmdiff.released.checkpoint import SAME, Checkpoint, Key, PublishedFile, Shape, head_by_head

TEXT = {
    "token": "token_embedding", "position": "positional_embedding", "padding": "padding_embedding", "norm": "final_ln",
    "layers": "transformer.resblocks", "norm1": "ln_1", "qkv": "attn.c_qkv", "out": "attn.c_proj", "norm2": "ln_2",
    "feed_forward.0": "mlp.c_fc", "feed_forward.2": "mlp.c_proj",
}  # fmt: skip
"""Part of a name in our text transformer -> the part in the file."""


def text_key(config: TextDenoiserConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the text transformer."""
    parts = name.replace("feed_forward.", "feed_forward#").split(".")
    theirs = ".".join(TEXT.get(part.replace("#", "."), part) for part in parts)
    return Key(theirs, head_by_head(config.text.num_heads, 3) if ".qkv." in name else SAME)


def keys(config: TextDenoiserConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the U-Net or of its text transformer."""
    if name.startswith("text."):
        return text_key(config, name.removeprefix("text."), shape)
    own = name.removeprefix("network.")
    if own.startswith("project."):
        return Key(own.replace("project", "transformer_proj"), SAME)
    key = unet_key(config.network, own, shape)
    if ".context." in own:
        heads = shape[0] // 2 // (config.network.head_channels or 1)
        return Key(key.name.replace(".context.", ".encoder_kv."), head_by_head(heads, 2))
    return key


BASE = TextDenoiserConfig(
    network=presets.glide(), text=TextEncoderConfig(), conditions=ConditionConfig(), image_size=64, schedule="cosine",
    learned_variance=True, optimizer=OPTIMIZER,
)  # fmt: skip
UPSAMPLER = TextDenoiserConfig(
    network=presets.glide_upsampler(), text=TextEncoderConfig(name="upsampler_tokens"),
    conditions=ConditionConfig(spatial=(("low_res", 3),)), image_size=256, learned_variance=True, optimizer=OPTIMIZER,
)  # fmt: skip
FILES = (
    PublishedFile(weight="glide", checkpoints=(Checkpoint(name="glide", config=BASE, keys=keys),)),
    PublishedFile(
        weight="glide_upsampler", checkpoints=(Checkpoint(name="glide_upsampler", config=UPSAMPLER, keys=keys),)
    ),
)
