import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.functional.segmentation import mean_iou

from lightning_mmdiff.metrics.segmentation import (
    confusion,
    dataset_scores,
    group_labels,
    image_scores,
    scores_of_counts,
)


@pytest.fixture
def maps():
    """70 images (more than one chunk) of 5 classes, some absent; predictions are right two times in three."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 5, (70, 9, 7)).astype(np.uint8)
    target[3] = 1  # one class only
    target[4][target[4] == 2] = 0
    prediction = np.where(rng.random(target.shape) < 2 / 3, target, rng.integers(0, 4, target.shape)).astype(np.uint8)
    return prediction, target


def test_perfect_and_disjoint_predictions(maps):
    _, target = maps
    perfect = image_scores(target, target, 5)
    for scores in (perfect.miou, perfect.f1, perfect.accuracy):
        assert (scores == 1).all()
    wrong = image_scores(np.zeros((1, 4, 4), int), np.ones((1, 4, 4), int), 5)
    assert (wrong.miou, wrong.f1, wrong.accuracy) == (0, 0, 0)


def test_half_of_a_picture_has_its_closed_form():
    target = np.zeros((1, 4, 4), np.uint8)
    target[:, :2] = 1
    prediction = np.zeros((1, 4, 4), np.uint8)
    prediction[:, :1] = 1  # class 1: 4 of 8 found; class 0: 8 right, 4 too many
    scores = image_scores(prediction, target, 3)  # class 2 is nowhere and does not count
    assert scores.miou == pytest.approx([(4 / 8 + 8 / 12) / 2])
    assert scores.f1 == pytest.approx([(8 / 12 + 16 / 20) / 2])
    assert scores.accuracy == pytest.approx([12 / 16])


def test_equals_scikit_learn_image_by_image(maps):
    prediction, target = maps
    scores = image_scores(prediction, target, 5)
    for p, t, miou, f1, accuracy in zip(prediction, target, scores.miou, scores.f1, scores.accuracy):
        p, t = p.ravel(), t.ravel()  # by default scikit-learn averages over the labels in either
        assert miou == pytest.approx(jaccard_score(t, p, average="macro"), rel=1e-12)
        assert f1 == pytest.approx(f1_score(t, p, average="macro"), rel=1e-12)
        assert accuracy == pytest.approx((p == t).mean())


def test_equals_torchmetrics(maps):
    prediction, target = (torch.from_numpy(m).long() for m in maps)
    matrix = MulticlassConfusionMatrix(5)(prediction, target).numpy()
    assert (confusion(*maps, 5).sum(axis=0) == matrix).all()
    per_class = mean_iou(prediction, target, num_classes=5, input_format="index", per_class=True).numpy()
    present = per_class >= 0
    expected = np.where(present, per_class, 0).sum(axis=1) / present.sum(axis=1)
    np.testing.assert_allclose(image_scores(*maps, 5).miou, expected, rtol=1e-5)


def test_dataset_scores_pool_the_pixels(maps):
    prediction, target = (m.ravel() for m in maps)
    scores = dataset_scores(*maps, 5)
    assert scores.miou == pytest.approx(jaccard_score(target, prediction, average="macro"))
    assert scores.f1 == pytest.approx(f1_score(target, prediction, average="macro"))
    assert scores.pixel_accuracy == pytest.approx((prediction == target).mean())
    recalls = [(prediction[target == c] == c).mean() for c in range(5)]
    assert scores.class_accuracy == pytest.approx(np.mean(recalls))
    assert scores.class_iou == pytest.approx(jaccard_score(target, prediction, average=None))


def test_a_class_that_never_occurs_is_nan_and_left_out():
    scores = scores_of_counts(np.array([[6, 2, 0], [0, 8, 0], [0, 0, 0]]))
    assert np.isnan(scores.class_iou[2])
    assert scores.miou == pytest.approx((6 / 8 + 8 / 10) / 2)


def test_groups_are_unions_and_elsewhere_has_no_score(maps):
    groups = ((1, 2), (3,))
    scores = image_scores(*maps, 5, groups=groups)
    prediction, target = maps
    expected = []
    for p, t in zip(prediction, target):
        ious = []
        for group in groups:
            a, b = np.isin(p, group), np.isin(t, group)
            if (a | b).any():
                ious.append((a & b).sum() / (a | b).sum())
        expected.append(np.mean(ious))
    np.testing.assert_allclose(scores.miou, expected)
    assert len(dataset_scores(*maps, 5, groups=groups).class_iou) == 2
    assert group_labels(np.array([0, 1, 2, 3, 255]), groups).tolist() == [2, 0, 0, 1, 255]


def test_an_image_without_any_judged_class_in_either_map_agrees():
    empty = np.zeros((1, 4, 4), np.uint8)
    assert image_scores(empty, empty, 3, groups=((1,), (2,))).miou == 1


def test_ignored_pixels_are_not_judged(maps):
    prediction, target = maps
    ignored = target.copy()
    ignored[:, 0] = 255
    np.testing.assert_allclose(
        image_scores(prediction, ignored, 5).miou, image_scores(prediction[:, 1:], target[:, 1:], 5).miou
    )


def test_failed_images_score_0_and_are_counted(maps):
    failed = np.zeros(70, bool)
    failed[[2, 5]] = True
    scores, all_found = image_scores(*maps, 5, failed=failed), image_scores(*maps, 5)
    assert scores.num_failed == 2
    assert scores.miou[2] == scores.f1[5] == scores.accuracy[2] == 0
    assert (scores.miou[~failed] == all_found.miou[~failed]).all()
    assert all_found.num_failed == 0


def test_errors_say_what_was_found(maps):
    prediction, target = maps
    with pytest.raises(ValueError, match=r"prediction \[70, 9, 7\] and target \[70, 9, 6\]"):
        image_scores(prediction, target[..., :6], 5)
    with pytest.raises(ValueError, match=r"prediction has labels 0..4, expected 0..3"):
        image_scores(prediction, target, 4)
    void = target.copy()
    void[2] = 255
    with pytest.raises(
        ValueError, match=rf"1 of {len(target)} label maps have no pixel to evaluate \(first: number 2\)"
    ):
        image_scores(prediction, void, 5)
    with pytest.raises(ValueError, match="prediction has labels 255..255"):
        image_scores(np.full_like(prediction, 255), target, 5)
    with pytest.raises(ValueError, match="two groups"):
        image_scores(prediction, target, 5, groups=((1, 2), (2,)))
    with pytest.raises(ValueError, match="one flag an image"):
        image_scores(prediction, target, 5, failed=np.zeros(3, bool))
