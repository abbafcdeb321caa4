import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.metrics import accuracy_score, jaccard_score, recall_score
from torchmetrics.classification import MulticlassJaccardIndex

from lightning_mmdiff.metrics.bootstrap import bootstrap_statistic
from lightning_mmdiff.metrics.palette import nearest_color, palette_confusion, palette_results, palette_scores
from lightning_mmdiff.metrics.segmentation import resize_labels

PALETTE = np.array([[128, 64, 128], [0, 0, 142], [0, 60, 100], [0, 80, 100], [70, 130, 180]], np.uint8)
NAMES = ("PixelAccuracy", "ClassAccuracy", "ClassIoU")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pictures(rng):
    """Targets of 4 of the 5 classes with void, and pictures of them in noisy colors, one class in ten exchanged."""
    target = rng.integers(0, 4, (7, 12, 16)).astype(np.uint8)
    painted = np.where(rng.random(target.shape) < 0.1, rng.integers(0, 4, target.shape), target)
    target[:, 0] = 255
    colors = PALETTE[painted].astype(int) + rng.integers(-12, 13, (*painted.shape, 3))
    return torch.from_numpy(colors.clip(0, 255).astype(np.uint8)).permute(0, 3, 1, 2).contiguous(), target


def test_nearest_color_equals_scipy(rng):
    images = torch.from_numpy(rng.integers(0, 256, (3, 3, 20, 30), dtype=np.uint8))
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    expected = cdist(pixels.astype(float), PALETTE.astype(float), "sqeuclidean").argmin(axis=1)  # the first of ties
    assert (nearest_color(images, PALETTE).ravel() == expected).all()


def test_colors_of_the_palette_are_their_own_class():
    images = torch.from_numpy(PALETTE.T.copy()).view(1, 3, 1, 5)
    assert nearest_color(images, PALETTE).ravel().tolist() == [0, 1, 2, 3, 4]
    halfway = torch.tensor([0, 70, 100], dtype=torch.uint8).view(1, 3, 1, 1)  # between bus and train
    assert nearest_color(halfway, PALETTE).item() == 2


def test_scores_equal_scikit_learn_over_all_pixels(pictures):
    images, target = pictures
    counts = palette_confusion(images, target, PALETTE)
    judged = target != 255
    p, t = nearest_color(images, PALETTE)[judged], target[judged]
    assert set(p) == set(t) == {0, 1, 2, 3}  # class 4 never occurs
    values = [r.value for r in palette_results(NAMES, counts, num=5)]
    labels = {"labels": range(5), "average": "macro", "zero_division": 0}  # as published: an absent class counts 0
    expected = [accuracy_score(t, p), recall_score(t, p, **labels), jaccard_score(t, p, **labels)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    present = [r.value for r in palette_results(NAMES, counts, only_present=True, num=5)]
    labels["labels"] = range(4)
    expected = [accuracy_score(t, p), recall_score(t, p, **labels), jaccard_score(t, p, **labels)]
    np.testing.assert_allclose(present, expected, rtol=1e-12)


def test_iou_equals_torchmetrics_where_every_class_occurs(pictures):
    images, target = pictures
    p, t = (torch.from_numpy(a).long() for a in (nearest_color(images, PALETTE[:4]), target))
    theirs = MulticlassJaccardIndex(4, average="macro", ignore_index=255)(p, t)
    ours = palette_results(NAMES, palette_confusion(images, target, PALETTE[:4]), num=2)[2]
    assert ours.value == pytest.approx(float(theirs), rel=1e-5)


def test_a_small_table_by_hand():
    counts = np.array([[6, 2, 0], [0, 8, 0], [0, 0, 0]])
    np.testing.assert_allclose(
        palette_scores(counts), [14 / 16, (6 / 8 + 8 / 8 + 0) / 3, (6 / 8 + 8 / 10 + 0) / 3], rtol=1e-12
    )
    np.testing.assert_allclose(palette_scores(counts, only_present=True)[1:], [7 / 8, (6 / 8 + 8 / 10) / 2])
    spurious = np.array([[6, 0, 2], [0, 8, 0], [0, 0, 0]])  # class 2 is painted but not there: IoU 0, no recall
    np.testing.assert_allclose(palette_scores(spurious, only_present=True)[1:], [7 / 8, (6 / 8 + 8 / 8 + 0) / 3])


def test_void_is_not_judged(pictures):
    images, target = pictures
    painted = images.clone()
    painted[:, :, 0] = 0  # the void row of every target
    assert (palette_confusion(painted, target, PALETTE) == palette_confusion(images, target, PALETTE)).all()
    assert palette_confusion(images, target, PALETTE).sum() == (target != 255).sum()


def test_small_pictures_are_judged_at_the_size_of_the_target(pictures):
    images, target = pictures
    large = target.repeat(2, axis=1).repeat(2, axis=2)
    assert (palette_confusion(images, large, PALETTE) == 4 * palette_confusion(images, target, PALETTE)).all()


@pytest.mark.parametrize("size", [(24, 32), (8, 64), (20, 4), (12, 16)])
def test_labels_are_resized_as_pil_does(pictures, size):
    """Where no center falls on a border of pixels, or the sizes are exact in binary; else PIL rounds by accident."""
    labels = pictures[1]
    expected = [np.asarray(Image.fromarray(a).resize(size[::-1], Image.Resampling.NEAREST)) for a in labels]
    assert (resize_labels(labels, size) == np.stack(expected)).all()


def test_replicates_are_the_scores_of_the_common_resamples(pictures):
    counts = palette_confusion(*pictures, PALETTE)
    for only_present in (False, True):
        results = palette_results(NAMES, counts, only_present=only_present, num=20, note="256 px")
        for i, result in enumerate(results):

            def score(c, i=i, only_present=only_present):
                return palette_scores(c.sum(axis=0), only_present=only_present)[i]

            np.testing.assert_allclose(result.replicates, bootstrap_statistic(score, counts, num=20), rtol=1e-12)
            assert result.n == 7
            assert result.protocol == NAMES[i]
            assert result.to_json()["note"] == "256 px"


def test_errors(pictures):
    images, target = pictures
    with pytest.raises(ValueError, match="same color"):
        nearest_color(images, PALETTE[[0, 1, 0]])
    with pytest.raises(ValueError, match=r"uint8 \[K, 3\], got float64"):
        nearest_color(images, PALETTE / 255)
    with pytest.raises(TypeError, match="uint8"):
        nearest_color(images.float(), PALETTE)
    with pytest.raises(ValueError, match="7 images and 6 targets"):
        palette_confusion(images, target[:6], PALETTE)
    with pytest.raises(ValueError, match="judged pixels"):
        palette_results(NAMES, np.zeros((2, 5, 5), np.int64))
