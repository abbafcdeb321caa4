"""Our U-Net against diffusers' class with the same weights, and which of ours that class cannot express."""

from dataclasses import replace

import pytest
import torch
from tiny import randomized

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks import presets
from lightning_mmdiff.networks.as_diffusers import as_diffusers
from lightning_mmdiff.networks.class_layers import ClassLayerConfig
from lightning_mmdiff.networks.unet import UNetConfig

SMALL = UNetConfig(
    in_channels=5, out_channels=6, channels=8, channel_mult=(1, 2, 3), num_res_blocks=2, attention_levels=(1, 2),
    head_channels=4, norm_groups=4,
)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"resblock_updown": False},
        {"attention_levels": (0,)},
        {"attention_levels": (), "head_channels": None, "num_heads": 3},
        {"attention_levels": (2,), "head_channels": None, "num_heads": 2},
        {"num_classes": 3},
        {"channel_mult": (1,), "attention_levels": ()},
    ],
    ids=str,
)
@torch.no_grad()
def test_both_give_the_same_output(change: dict) -> None:
    ours = randomized(replace(SMALL, **change).build()).eval()
    theirs = as_diffusers(ours)
    x, t = torch.randn(3, 5, 16, 16), torch.tensor([0, 417, 999])
    labels = torch.tensor([2, -1, 0]) if ours.config.num_classes else None
    known = ours(x, t, labels=labels)
    found = theirs(x, t, class_labels=None if labels is None else labels % 4).sample
    assert known.std() > 0.1
    torch.testing.assert_close(found, known, atol=1e-5, rtol=1e-5)
    assert not theirs.training


def test_the_weights_are_copies() -> None:
    ours = randomized(SMALL.build())
    theirs, before = as_diffusers(ours), ours.out_conv.weight.clone()
    theirs.conv_out.weight.data.zero_()
    assert torch.equal(ours.out_conv.weight, before)
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"embedding_dim": 4}, "no second adaptive norm"),
        ({"context_dim": 4}, "no attention to the vectors of a text"),
        ({"num_classes": 2, "class_layers": ClassLayerConfig(kind="film", dim=4)}, "no class layers"),
        ({"patch_size": 2}, "no patches of 2 pixels"),
        ({"channel_mult": (0.5, 1), "attention_levels": ()}, "no first level of 4 channels"),
        ({"resblock_updown": False, "conv_resample": False}, "no change of size without a convolution"),
        ({"head_channels": None, "num_heads": 2}, r"no heads of several widths \(8, 12 channels"),
        ({"patch_size": 2, "embedding_dim": 4}, "text; no patches"),
    ],
)
def test_what_the_class_cannot_express_is_named(change: dict, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        as_diffusers(replace(SMALL, **change).build())


def test_which_published_networks_can_be_expressed() -> None:
    """On the device "meta", which holds no weights."""
    sizes = {"adm_64": 295_904_454, "adm_256": 553_838_086, "improved_ddpm": None}
    for name, size in sizes.items():
        with torch.device("meta"):
            unet = as_diffusers(getattr(presets, name)().build())
        classes = 0 if unet.class_embedding is None else unet.class_embedding.embedding_dim  # the row of no class
        assert size is None or sum(p.numel() for p in unet.parameters()) == size + classes
    for name in ("adm_128", "adm_512"):
        with pytest.raises(UserError, match="cannot express"), torch.device("meta"):
            as_diffusers(getattr(presets, name)().build())
