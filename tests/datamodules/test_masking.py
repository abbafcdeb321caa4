import numpy as np
import pytest
import torch
from tiny_sets import opened

from datamodules.batches.masking import MaskConfig, fixed_masks, train_masks
from datamodules.batches.steps import Draw
from datamodules.imagenet import ImageNet


def hidden(masks):
    return (masks == 0).mean((1, 2, 3))


def mean_by_the_book(size, patch, count):
    """Share of pixels under any of ``count`` patches: pixel x is covered by the starts x - patch + 1 to x."""
    line = np.minimum(np.arange(size) + 1, patch) / size
    return (1 - (1 - np.outer(line, line)) ** count).mean()


@pytest.mark.parametrize(
    ("size", "patch", "measured", "bound"), [(64, 16, 0.39, 0.625), (128, 16, 0.129, 0.15625), (32, 16, 0.70, 1)]
)
def test_ten_patches_hide_as_much_as_they_should(size, patch, measured, bound):
    shares = hidden(fixed_masks(MaskConfig(low=10, high=10, patch=patch), np.arange(4000), size))
    assert abs(shares.mean() - mean_by_the_book(size, patch, 10)) < 0.005
    assert abs(shares.mean() - measured) < 0.02
    assert shares.max() <= bound
    assert len(np.unique(shares)) > 20


def test_patches_are_cut_at_the_border_and_start_anywhere():
    config = MaskConfig(low=1, high=1, patch=4)
    masks = fixed_masks(config, np.arange(3000), 8)[:, 0] == 0
    heights, widths = masks.any(2).sum(1), masks.any(1).sum(1)
    assert set(heights) == set(widths) == {1, 2, 3, 4}
    assert (masks.sum((1, 2)) == heights * widths).all()  # rectangles
    tops, lefts = masks.any(2).argmax(1), masks.any(1).argmax(1)
    counts = np.bincount(tops * 8 + lefts, minlength=64)
    assert counts.min() > 20  # 3000 / 64 = 47 expected of each start


def test_the_number_of_patches_is_uniform_with_both_ends():
    config = MaskConfig(low=0, high=3, patch=1)
    shares = hidden(train_masks(config, np.arange(8000), 64)) * 64**2
    found = np.bincount(np.rint(shares).astype(int), minlength=4) / 8000
    assert np.allclose(found, 0.25, atol=0.02)


def test_a_share_of_the_training_images_is_hidden_completely_and_no_test_image():
    config = MaskConfig(low=0, high=2, patch=4, complete=0.3)
    assert abs((hidden(train_masks(config, np.arange(4000), 16)) == 1).mean() - 0.3) < 0.03
    assert hidden(fixed_masks(config, np.arange(4000), 16)).max() < 0.2


def test_more_patches_keep_the_holes_of_fewer():
    few, many = (fixed_masks(MaskConfig(low=m, high=m, patch=8), np.arange(50), 32) for m in (5, 20))
    assert ((few == 0) <= (many == 0)).all()
    assert hidden(many).mean() > hidden(few).mean() + 0.2


def test_a_mask_depends_on_its_key_alone():
    config = MaskConfig(low=0, high=10, patch=8, complete=0.1)
    for masks in (train_masks, fixed_masks):
        whole = masks(config, np.arange(30), 32)
        assert np.array_equal(masks(config, np.array([17, 3]), 32), whole[[17, 3]])
        assert len({mask.tobytes() for mask in whole}) > 20


def test_holes_are_zero_and_the_rest_is_the_image(objects_root):
    masks = MaskConfig(low=5, high=5, patch=8)
    data = opened(ImageNet, objects_root, conditions=("masked_image",), masks=masks, flip=True, batch_size=8)
    for batch in (data.test.batch([0, 3, 4]), data.train_batches()(2)):
        masked, mask = batch["conditions"]["masked_image"], batch["conditions"]["mask"]
        assert list(batch["conditions"]) == ["masked_image", "mask"]
        assert mask.dtype == masked.dtype == torch.uint8
        assert mask.shape[1:] == (1, 32, 32)
        assert set(mask.unique().tolist()) == {0, 255}
        assert torch.equal(masked, batch["image"] * (mask // 255))


def test_training_masks_depend_on_seed_step_and_row_and_test_masks_on_the_item(objects_root):
    settings = {"conditions": ("masked_image",), "masks": MaskConfig(low=0, high=10, patch=8), "batch_size": 8}
    data, again = (opened(ImageNet, objects_root, seed=4, **settings) for _ in range(2))
    other = opened(ImageNet, objects_root, seed=5, **settings)
    assert torch.equal(data.train_batches()(7)["conditions"]["mask"], again.train_batches()(7)["conditions"]["mask"])
    masks = [module.train_batches()(step)["conditions"]["mask"] for module, step in ((data, 7), (data, 8), (other, 7))]
    assert len({mask.numpy().tobytes() for batch in masks for mask in batch}) > 15
    both = [data.train_batches(rank=rank, world_size=2)(7)["conditions"]["mask"] for rank in (0, 1)]
    assert torch.equal(torch.stack(both, 1).flatten(0, 1), data.train_batches()(7)["conditions"]["mask"])
    assert torch.equal(
        data.test.batch([2, 1])["conditions"]["mask"], other.test.batch([1, 2])["conditions"]["mask"].flip(0)
    )
    drawn = data.train.draw([Draw(0, False, 9), Draw(1, False, 9)])["conditions"]["mask"]
    assert torch.equal(drawn[0], drawn[1])


def test_bad_masks_are_explained(objects_root):
    for bad in ({"low": 2, "high": 1}, {"low": -1}, {"patch": 0}, {"complete": 1.5}):
        with pytest.raises(ValueError, match="expected 0 <= low <= high"):
            MaskConfig(**{"low": 0, "high": 10, "patch": 8} | bad)
    with pytest.raises(ValueError, match="Condition 'masked_image' needs masks="):
        ImageNet(root=objects_root, image_size=32, batch_size=1, conditions=("masked_image",))
