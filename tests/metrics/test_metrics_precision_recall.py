import time

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from lightning_mmdiff.metrics import precision_recall
from lightning_mmdiff.metrics.bootstrap import resamples, subsets
from lightning_mmdiff.metrics.precision_recall import membership, precision_recall_results, recall_replicates


@pytest.fixture
def sets():
    """Generated features narrower than the reference and moved: precision is high, recall is not."""
    rng = np.random.default_rng(0)
    return 0.7 * rng.standard_normal((90, 6)) + 0.4, rng.standard_normal((140, 6))


def inside(queries, manifold, k):
    """By scikit-learn's neighbors and scipy's distances; the first neighbor of a feature is itself."""
    radii = NearestNeighbors(n_neighbors=k + 1).fit(manifold).kneighbors(manifold)[0][:, -1]
    return (cdist(queries, manifold) <= radii).any(axis=1)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equals_scikit_learn_feature_by_feature(sets, k):
    x, y = sets
    found = membership(x, y, k=k)
    assert (found.precise == inside(x, y, k)).all()
    assert (found.recalled == inside(y, x, k)).all()
    if k == 3:
        assert 0.2 < found.recalled.mean() < found.precise.mean() < 1


def test_blocks_do_not_change_the_answer(sets, monkeypatch):
    whole = membership(*sets)
    monkeypatch.setattr(precision_recall, "BLOCK", 1000)  # 7 to 11 rows at once
    parts = membership(*sets)
    assert (whole.precise == parts.precise).all()
    assert (whole.recalled == parts.recalled).all()


def test_identical_and_distant_sets(sets):
    _, y = sets
    same, far = membership(y, y.copy()), membership(y, y + 100)
    assert same.precise.all()
    assert same.recalled.all()
    assert not far.precise.any()
    assert not far.recalled.any()


def test_precision_and_recall_are_not_exchanged(sets):
    """A generator of one mode is precise and recalls little; one that covers too much is the reverse."""
    _, y = sets
    rng = np.random.default_rng(1)
    narrow, wide = 0.05 * rng.standard_normal((140, 6)), 5 * rng.standard_normal((140, 6))
    precision, recall = precision_recall_results(("Precision", "Recall"), narrow, y)
    assert (precision.protocol, recall.protocol) == ("Precision", "Recall")
    assert precision.value == 1
    assert recall.value < 0.1
    precision, recall = precision_recall_results(("Precision", "Recall"), wide, y)
    assert precision.value < 0.3
    assert recall.value > 0.5


def test_a_line_has_its_closed_form():
    y = np.arange(6.0)[:, None]  # k = 3: the balls of the ends have radius 3, the others 2
    x = np.array([[-3.0], [-3.1], [8.0], [2.5]])
    assert membership(x, y).precise.tolist() == [True, False, True, True]  # -3 and 8 lie on a border
    # x sorted: -3.1, -3, 2.5, 8; third neighbors at 11.1, 11, 5.6, 11.1, so every y is inside some ball
    assert membership(x, y).recalled.all()


@pytest.mark.parametrize("offset", [0, 1e3])
def test_large_features_with_small_differences_are_told_apart(sets, offset):
    """Squared distances near 1 of features near 1e3: float16 has no bits left, nor float32 without the centering."""
    x, y = (s + offset for s in sets)
    assert (membership(x, y).precise == inside(x, y, 3)).all()
    assert (membership(x, y).recalled == inside(y, x, 3)).all()


def test_an_outlier_does_not_blur_the_others(sets):
    """One feature of 1e6 in the reference: with the mean as center, precision and recall were 1.000 and .988."""
    x, y = sets
    far = np.concatenate([y, np.full((1, y.shape[1]), 1e6)])
    plain, found = membership(x, y), membership(x, far)
    assert np.array_equal(found.recalled[:-1], plain.recalled)
    assert not found.recalled[-1]
    moved = np.concatenate([x, np.full((1, x.shape[1]), 1e6)])
    found = membership(moved, y)
    assert np.array_equal(found.precise[:-1], plain.precise)
    assert not found.precise[-1]


@pytest.mark.parametrize("n", [90, 89, 7])
def test_replicates_are_recalls_of_common_halves(sets, monkeypatch, n):
    x, y = sets[0][:n], sets[1]
    monkeypatch.setattr(precision_recall, "BLOCK", 1000)
    precision, recall = precision_recall_results(("P", "R"), x, y, num=20, reference="140 images")
    np.testing.assert_allclose(precision.replicates, membership(x, y).precise[resamples(n, 20)].mean(axis=1))
    size = max(n // 2, 4)  # a third neighbor takes four images
    half = subsets(n, size, 20)
    assert (half.sum(axis=1) == size).all()
    expected = np.array([inside(y, x[kept], 3).mean() for kept in half])
    spread = np.sqrt(size / (n - size))  # 1 for halves
    np.testing.assert_allclose(
        recall.replicates, expected.mean() + spread * (expected - expected.mean()), rtol=1e-6, atol=1e-12
    )
    assert precision.n == recall.n == n  # generated images
    assert recall.to_json()["reference"] == "140 images"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.8, 0.3), (0.4, 0.3)])
def test_replicates_spread_as_new_images_do(scale, shift):
    """Recalls of .89, .63 and .06. With the reference fixed, the replicates spread .9 to 1.1 times as much."""
    rng = np.random.default_rng(0)
    axes = np.linspace(1, 0.2, 8)
    y = rng.standard_normal((256, 8)) * axes
    drawn = [scale * rng.standard_normal((128, 8)) * axes + shift * axes.mean() for _ in range(200)]
    values = np.array([membership(x, y).recalled.mean() for x in drawn])
    said = np.mean([recall_replicates(x, y, num=100).std() for x in drawn[:20]])
    assert said == pytest.approx(values.std(), rel=0.25)


def test_256_images_take_less_than_seconds():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((256, 1280)).astype(np.float32), rng.standard_normal((1000, 1280)).astype(np.float32)
    start = time.perf_counter()
    precision_recall_results(("P", "R"), x, y)
    assert time.perf_counter() - start < 5  # 0.15 s on an idle core


def test_errors(sets):
    x, y = sets
    with pytest.raises(ValueError, match=r"\[90, 5\] and \[140, 6\]"):
        membership(x[:, :5], y)
    with pytest.raises(ValueError, match="more than 3 images, got 3 generated"):
        membership(x[:3], y)
    with pytest.raises(ValueError, match="more than 4 images, got 4"):
        recall_replicates(x[:4], y)
    with pytest.raises(ValueError, match="finite"):
        membership(np.where(x > 2, np.nan, x), y)
