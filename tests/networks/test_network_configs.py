"""Shapes that no network can have are refused when the config is made."""

from dataclasses import replace

import pytest

from lightning_mmdiff.networks.class_layers import ClassLayerConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.farl import ClipSize
from lightning_mmdiff.networks.ldm import ldm_unet
from lightning_mmdiff.networks.presets import mini_classifier, mini_unet
from lightning_mmdiff.networks.tokens import MaskTokensConfig, TextTokensConfig
from lightning_mmdiff.networks.vae import VAEConfig

UNET, CLASSIFIER, LDM = mini_unet(3, 3), mini_classifier(10), ldm_unet()
VAE = VAEConfig(image_size=16, channels=(8, 16), norm_groups=8)
LAYERS = ClassLayerConfig(kind="cross-attention", dim=6)
MASK, TEXT = MaskTokensConfig(), TextTokensConfig()


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (UNET, {"in_channels": 0}, "UNetConfig has in_channels=0; expected at least 1"),
        (UNET, {"channel_mult": ()}, r"UNetConfig has channel_mult=\(\); expected one entry or more"),
        (UNET, {"channel_mult": (1, 0, 2)}, r"channel_mult=\(1, 0, 2\); expected a number above 0"),
        (UNET, {"num_res_blocks": 0}, "num_res_blocks=0"),
        (UNET, {"num_heads": None, "head_channels": 0}, "head_channels=0; expected at least 1"),
        (UNET, {"num_heads": 5}, "do not divide into heads by 5"),
        (UNET, {"channels": 9, "norm_groups": 9, "num_heads": 1}, "channels=9; expected multiples of 2"),
        (UNET, {"norm_groups": 0}, "norm_groups=0; expected at least 1"),
        (UNET, {"dropout": 1.5}, r"dropout=1.5; expected a number in \[0, 1\]"),
        (UNET, {"embedding_dim": 0}, "embedding_dim=0; expected at least 1"),
        (UNET, {"patch_size": 0}, "patch_size=0; expected at least 1"),
        (LAYERS, {"num_heads": 0}, "num_heads=0; expected at least 1"),
        (LAYERS, {"num_heads": 4}, "num_heads must divide dim; got 4 heads and dim 6"),
        (CLASSIFIER, {"num_classes": 0}, "num_classes=0; expected at least 1"),
        (CLASSIFIER, {"image_size": 0}, "image_size=0; expected at least 1"),
        (CLASSIFIER, {"channel_mult": ()}, "expected one entry or more"),
        (CLASSIFIER, {"channel_mult": (1, 2, 4.01)}, "24 channels times 4.01 is no whole number"),
        (CLASSIFIER, {"channel_mult": (1, -2, 4)}, "expected a number above 0"),
        (LDM, {"num_heads": 0}, "num_heads=0; expected at least 1"),
        (LDM, {"channels": ()}, "expected one entry or more"),
        (LDM, {"context_dim": 0}, "context_dim=0; expected at least 1"),
        (VAE, {"image_size": 0}, "image_size=0; expected at least 1"),
        (VAE, {"image_size": 17}, "must be a multiple of 2, the factor of the VAE"),
        (VAE, {"channels": (8, 12)}, r"channels \[12\] must be multiples of norm_groups 8"),
        (VAE, {"channels": ()}, "expected one entry or more"),
        (MASK, {"side": 0}, "side=0; expected at least 1"),
        (MASK, {"name": "mask"}, "both called 'mask': give the tokens a name of their own"),
        (TEXT, {"name": "caption"}, "both called 'caption'"),
        (TEXT, {"vocabulary": ()}, "expected one entry or more"),
        (TEXT, {"max_length": 0}, "max_length=0; expected at least 1"),
        (ClipSize(), {"image_size": 100}, "image_size=100; expected multiples of 16"),
        (ClipSize(), {"vision_heads": 7}, "vision_width=768; expected multiples of 7"),
        (ClipSize(), {"text_heads": 7}, "text_width=512; expected multiples of 7"),
        (ClipSize(), {"vocabulary_size": 49407}, "end_token 49407 is outside the vocabulary of 49407 tokens"),
    ],
)
def test_impossible_shapes_are_refused(config, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(config, **change)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial": (("hair", 0),)}, r"conditions \['hair'\] have no channels, width or classes"),
        ({"embedding": ("text", 0)}, r"conditions \['text'\] have no"),
        ({"label": ("label", 0)}, r"conditions \['label'\] have no"),
        ({"embedding": ("text", 4), "embedding_scale": 0.0}, "embedding_scale=0.0; expected a number above 0"),
        ({"spatial": (("hair", 1),), "projected_channels": 0}, "projected_channels=0; expected at least 1"),
    ],
)
def test_conditions_without_content_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConditionConfig(**options)
