import numpy as np
import pytest
from scipy.spatial.distance import cdist

from lightning_mmdiff.metrics import precision_recall
from lightning_mmdiff.metrics.bootstrap import bootstrap_mean
from lightning_mmdiff.metrics.coverage import NEIGHBORS, coverage_result


def by_definition(x, y, k):
    """The authors' formula in numpy: the nearest sample is closer than the k-th nearest real image."""
    radii = np.sort(cdist(y, y), axis=1)[:, k]
    return (cdist(y, x).min(axis=1) < radii).mean()


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m"), [(90, 140), (140, 90), (8, 40)])
def test_equals_the_definition(n, m, k, monkeypatch):
    rng = np.random.default_rng(n)
    x, y = 0.7 * rng.standard_normal((n, 6)) + 0.4, rng.standard_normal((m, 6))
    whole = coverage_result("C", x, y, k=k, num=2)
    assert whole.value == pytest.approx(by_definition(x, y, k))
    monkeypatch.setattr(precision_recall, "BLOCK", 1000)  # a few rows at once
    parts = coverage_result("C", x, y, k=k, num=2)
    assert (parts.value, parts.replicates.tolist()) == (whole.value, whole.replicates.tolist())


@pytest.mark.parametrize(("n", "m"), [(60, 60), (60, 200), (200, 60)])
def test_one_distribution_has_the_closed_form(n, m):
    """Naeem et al. 2020, Lemma 2: no matter which distribution, and in which dimension."""
    rng = np.random.default_rng(m)
    place = np.arange(1, NEIGHBORS + 1)
    expected = 1 - np.prod((m - place) / (m + n - place))
    values = [
        coverage_result("C", rng.standard_normal((n, d)) ** 3, rng.standard_normal((m, d)) ** 3, num=1).value
        for d in (1, 7)
        for _ in range(60)
    ]
    assert np.mean(values) == pytest.approx(expected, abs=4 * np.std(values) / np.sqrt(len(values)))


def test_one_mode_covers_its_share_and_an_outlier_covers_nothing():
    """Recall's balls are around the samples: one far sample has a ball that reaches every real image."""
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.standard_normal((100, 4)), rng.standard_normal((300, 4)) + 50])
    x = np.concatenate([rng.standard_normal((200, 4)), np.full((1, 4), 1e4)])
    covered = coverage_result("C", x, y, num=1)
    assert covered.value == pytest.approx(0.25, abs=0.01)
    assert precision_recall.membership(x, y).recalled.mean() > 0.9
    assert coverage_result("C", y, y, num=1).value == 1
    assert coverage_result("C", y + 1e3, y, num=1).value == 0


def test_replicates_add_the_mean_pseudo_value_of_resampled_images():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((30, 3)), rng.standard_normal((50, 3))
    found = coverage_result("C", x, y, num=20, reference="50 images")
    without = np.array([by_definition(np.delete(x, i, axis=0), y, NEIGHBORS) for i in range(30)])
    pseudo = 30 * found.value - 29 * without
    np.testing.assert_allclose(found.replicates, found.value + bootstrap_mean(pseudo - pseudo.mean(), 20))
    assert (found.n, found.better, found.extra) == (30, "higher", {"reference": "50 images"})


@pytest.mark.parametrize("n", [64, 256])
def test_intervals_are_about_as_wide_as_new_images_differ(n):
    """Halves of the images gave .7 times the width at 64 of them."""
    rng = np.random.default_rng(2)
    scale = np.linspace(1, 0.2, 8)
    y = rng.standard_normal((500, 8)) * scale
    results = [coverage_result("C", rng.standard_normal((n, 8)) * scale, y, num=60) for _ in range(80)]
    spread = np.std([r.value for r in results])
    assert 0.85 < np.mean([r.replicates.std() for r in results]) / spread < 1.4


def test_errors():
    with pytest.raises(ValueError, match="more than 5 images"):
        coverage_result("C", np.zeros((4, 2)), np.zeros((9, 2)))
