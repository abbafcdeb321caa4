"""Adversarial losses, hard labels and the image pool in closed form."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lightning_mmdiff.baselines.image_pool import ImagePool
from lightning_mmdiff.baselines.labels import one_hot
from lightning_mmdiff.baselines.losses import (
    cross_entropy,
    feature_matching,
    hinge_discriminator,
    hinge_generator,
    least_squares,
    standard_normal_divergence,
)
from lightning_mmdiff.baselines.oasis import class_weights, fake_loss, mix_mask, segmentation_loss
from lightning_mmdiff.baselines.perceptual import Perceptual
from lightning_mmdiff.errors import UserError

LOGITS = torch.tensor([-2.0, 0.5, 3.0])


def test_hinge() -> None:
    assert hinge_discriminator(LOGITS, True) == pytest.approx((3 + 0.5 + 0) / 3)
    assert hinge_discriminator(LOGITS, False) == pytest.approx((0 + 1.5 + 4) / 3)
    assert hinge_generator(LOGITS) == pytest.approx(-0.5)


def test_least_squares_and_cross_entropy() -> None:
    assert least_squares(LOGITS, True) == pytest.approx((9 + 0.25 + 4) / 3)
    assert least_squares(LOGITS, False) == pytest.approx((4 + 0.25 + 9) / 3)
    assert cross_entropy(torch.zeros(5), True) == pytest.approx(math.log(2))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, torch.ones(3))
    assert cross_entropy(LOGITS, True) == pytest.approx(expected.item())
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, torch.zeros(3))
    assert cross_entropy(LOGITS, False) == pytest.approx(expected.item())


def test_features_are_matched_layer_by_layer_and_real_ones_get_no_gradient() -> None:
    real = [torch.zeros(2, 3, requires_grad=True), torch.zeros(2, requires_grad=True)]
    fake = [torch.full((2, 3), 2.0, requires_grad=True), torch.full((2,), -1.0, requires_grad=True)]
    loss = feature_matching(fake, real)
    assert loss == 3  # 2 + 1
    loss.backward()
    assert real[0].grad is None
    assert fake[0].grad is not None


def test_divergence_from_the_standard_normal() -> None:
    assert standard_normal_divergence(torch.zeros(4), torch.zeros(4)) == 0
    mean, log_variance = torch.tensor([1.0, -2.0]), torch.tensor([0.0, math.log(4)])
    first, second = 0.5, 0.5 * (4 + 4 - 1 - math.log(4))
    assert standard_normal_divergence(mean, log_variance) == pytest.approx(first + second)


def test_a_label_is_the_channel_above_one_half() -> None:
    hair = torch.tensor([[[[255, 0], [100, 200]]]], dtype=torch.uint8)
    skin = torch.tensor([[[[0, 0], [120, 180]]]], dtype=torch.uint8)
    image = torch.zeros(1, 3, 2, 2)
    maps = (("skin", 1), ("hair", 1))
    labels = one_hot({"hair": hair, "skin": skin}, maps, image)
    assert labels.argmax(dim=1).tolist() == [[[2, 0], [0, 2]]]
    assert one_hot({"skin": skin}, maps, image).argmax(dim=1).tolist() == [[[0, 0], [0, 1]]]
    assert labels.sum(dim=1).eq(1).all()
    with pytest.raises(UserError, match=r"'hair' is \[1, 1, 2, 2\]; expected \[1, 2, 2, 2\]"):
        one_hot({"hair": hair}, (("hair", 2),), image)


def test_perfect_discriminators_have_no_loss() -> None:
    labels = torch.eye(3)[torch.randint(3, (2, 8, 8), generator=torch.Generator().manual_seed(0))].permute(0, 3, 1, 2)
    certain = 1e4 * torch.cat([torch.zeros(2, 1, 8, 8), labels], dim=1)
    weights = class_weights(labels.sum(dim=(0, 2, 3)))
    assert segmentation_loss(certain, labels, weights=weights) == 0
    assert fake_loss(torch.nn.functional.pad(torch.zeros(2, 3, 8, 8), (0, 0, 0, 0, 1, 0), value=1e4)) == 0
    assert segmentation_loss(torch.zeros(2, 4, 8, 8), labels, weights=weights) == pytest.approx(math.log(4))


def test_class_weights_make_all_classes_present_count_the_same() -> None:
    labels = torch.zeros(1, 3, 2, 4)
    labels[:, 0, :, :3], labels[:, 2, :, 3:] = 1, 1  # 6 pixels and 2; class 1 is absent
    assert class_weights(labels.sum(dim=(0, 2, 3))).tolist() == pytest.approx([8 / 12, 0, 2])


def test_label_mix_keeps_whole_classes_together() -> None:
    labels = torch.eye(6)[torch.randint(6, (4, 8, 8), generator=torch.Generator().manual_seed(0))].permute(0, 3, 1, 2)
    mask = mix_mask(labels, torch.Generator().manual_seed(3))
    values = [mask[:, 0][labels[:, k] == 1].unique() for k in range(6)]
    assert all(len(v) == 1 for v in values)
    assert {v.item() for v in values} == {0, 1}


def test_the_pool_fills_and_then_swaps_half_of_the_images() -> None:
    pool, draws = ImagePool(50, (1, 1, 1)), torch.Generator().manual_seed(0)
    first = torch.arange(50.0).view(50, 1, 1, 1)
    assert torch.equal(pool.query(first, draws), first)
    new = torch.arange(1000.0, 1400).view(-1, 1, 1, 1)
    got = pool.query(new, draws)
    swapped = (got != new).float().mean()
    assert 0.4 < swapped < 0.6
    assert pool.state_dict()["count"] == 50
    assert torch.cat([got, pool.images]).flatten().sort().values.equal(torch.cat([first, new]).flatten())


def test_the_perceptual_loss_of_equal_images_is_zero_and_real_images_get_no_gradient() -> None:
    network = Perceptual("effnet-lite0")
    draws = torch.Generator().manual_seed(0)
    fake, real = (torch.rand(2, 3, 32, 32, generator=draws).mul(2).sub(1).requires_grad_() for _ in range(2))
    assert network(fake, fake) == 0
    network(fake, real).backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert real.grad is None
    assert not any(p.requires_grad for p in network.parameters())


def test_an_enlarged_perceptual_loss_is_that_of_enlarged_images_and_sees_a_pattern_of_two_pixels() -> None:
    plain, enlarged = Perceptual("effnet-lite0"), Perceptual("effnet-lite0", enlargement=2)
    real = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).mul(2).sub(1)
    real = F.interpolate(real, scale_factor=4.0, mode="bilinear")  # smooth
    pattern = 0.3 * torch.tensor([[1.0, -1], [-1, 1]]).tile(16, 16)
    fake = real + pattern
    larger = [F.interpolate(x, scale_factor=2.0, mode="bilinear") for x in (fake, real)]
    assert torch.allclose(enlarged(fake, real), plain(*larger))
    assert enlarged(fake, real) > plain(fake, real)
