"""Conditions become channels and an embedding; absent and dropped ones are zeros."""

import pytest
import torch

from lightning_mmdiff.networks.conditions import (
    UNITE_AND_CONQUER_SUBSETS,
    ConditionConfig,
    ConditionEncoder,
    drop,
    face_conditions,
)

HAIR_PARTS_TEXT = ConditionConfig(spatial=(("hair", 1), ("parts", 2)), embedding=("text", 5))


def test_bytes_become_minus_one_to_one_in_the_order_of_the_config():
    parts = torch.full((2, 2, 4, 4), 0.5)
    hair = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    text = torch.randn(2, 5)
    encoder = ConditionEncoder(HAIR_PARTS_TEXT)
    channels, embedding = encoder({"parts": parts, "text": text, "hair": hair}, 2, 4, "cpu")
    assert channels.shape == (2, encoder.channels, 4, 4)
    assert channels[0, 0].unique().tolist() == [-1]
    assert channels[1, 0].unique().tolist() == [1]
    assert torch.equal(channels[:, 1:], parts)
    assert torch.equal(embedding, text)


def test_absent_conditions_are_zeros():
    channels, embedding = ConditionEncoder(HAIR_PARTS_TEXT)({}, 3, (4, 8), "cpu")
    assert channels.shape == (3, 3, 4, 8)
    assert embedding.shape == (3, 5)
    assert not channels.any()
    assert not embedding.any()


def test_no_conditions_at_all():
    assert ConditionEncoder(ConditionConfig())({}, 3, 4, "cpu") == (None, None)


def test_face_network_projects_rgb_maps_in_float32():
    torch.manual_seed(0)
    encoder = ConditionEncoder(face_conditions()).bfloat16()
    skin, hair = (torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        channels, embedding = encoder({"skin": skin, "hair": hair}, 2, 8, "cpu")
    maps = torch.cat([skin.expand(-1, 3, -1, -1), hair.expand(-1, 3, -1, -1)], dim=1) / 127.5 - 1
    expected = torch.nn.functional.conv2d(maps, encoder.project.weight.float(), encoder.project.bias.float(), padding=1)
    assert channels.dtype == torch.float32
    torch.testing.assert_close(channels, expected)
    assert embedding.shape == (2, 512)


def test_gradients_reach_the_projection():
    encoder = ConditionEncoder(face_conditions())
    encoder({"hair": torch.rand(1, 1, 8, 8)}, 1, 8, "cpu")[0].sum().backward()
    assert all(p.grad.any() for p in encoder.parameters())


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"sketch": torch.zeros(2, 1, 4, 4)}, "hair"),
        ({"hair": torch.zeros(2, 3, 4, 4)}, r"expected \[2, 1, 4, 4\]"),
        ({"hair": torch.zeros(2, 1, 8, 8)}, r"expected \[2, 1, 4, 4\]"),
        ({"text": torch.zeros(2, 4)}, r"expected \[2, 5\]"),
    ],
)
def test_wrong_conditions_say_what_was_expected(conditions, message):
    with pytest.raises(ValueError, match=message):
        ConditionEncoder(HAIR_PARTS_TEXT)(conditions, 2, 4, "cpu")


def test_impossible_configs_are_refused():
    with pytest.raises(ValueError, match="distinct"):
        ConditionConfig(spatial=(("hair", 1), ("hair", 1)))
    with pytest.raises(ValueError, match="to project"):
        ConditionConfig(projected_channels=3)


def test_drop_keeps_the_subset_of_each_row_and_nulls_the_rest():
    hair, skin = (torch.full((4, 1, 2, 2), v, dtype=torch.uint8) for v in (0, 255))
    text = torch.ones(4, 3)
    subsets = (("hair",), ("skin", "text"), ())
    kept = drop({"hair": hair, "skin": skin, "text": text, "other": text}, torch.tensor([0, 1, 2, 1]), subsets)
    assert set(kept) == {"hair", "skin", "text"}
    # Byte 0 is -1 where it is kept: dropped is 0, mid-gray, and not black.
    assert kept["hair"][:, 0, 0, 0].tolist() == [-1, 0, 0, 0]
    assert kept["skin"][:, 0, 0, 0].tolist() == [0, 1, 0, 1]
    assert kept["text"][:, 0].tolist() == [0, 1, 0, 1]


def test_drop_then_encode_equals_absent():
    encoder = ConditionEncoder(HAIR_PARTS_TEXT)
    batch = {"hair": torch.full((2, 1, 4, 4), 9, dtype=torch.uint8), "parts": torch.ones(2, 2, 4, 4)}
    kept = drop(batch, torch.tensor([0, 1]), (("hair", "parts"), ()))
    channels, _ = encoder(kept, 2, 4, "cpu")
    assert torch.equal(channels[1:], encoder({}, 1, 4, "cpu")[0])
    assert torch.equal(channels[:1], encoder({n: v[:1] for n, v in batch.items()}, 1, 4, "cpu")[0])


def test_drop_refuses_what_it_cannot_keep():
    with pytest.raises(ValueError, match="sketch"):
        drop({"hair": torch.zeros(1, 1, 2, 2)}, torch.tensor([0]), (("sketch",),))
    with pytest.raises(TypeError, match="embed it"):
        drop({"text": ["a face"]}, torch.tensor([0]), (("text",),))


def test_released_subsets_are_a_distribution():
    assert sum(p for _, p in UNITE_AND_CONQUER_SUBSETS) == 1
