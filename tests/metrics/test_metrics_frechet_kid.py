import numpy as np
import pytest
import scipy.linalg
import torch
from cleanfid import fid as cleanfid
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from lightning_mmdiff.metrics import kid
from lightning_mmdiff.metrics.bootstrap import bootstrap_mean
from lightning_mmdiff.metrics.frechet import (
    Gaussian,
    fit_gaussian,
    frechet_between,
    frechet_distance,
    frechet_from_features,
    influences,
)
from lightning_mmdiff.metrics.kid import (
    kernel_distance,
    kernel_distance_replicates,
    polynomial_kernel,
    unit_length,
)


def spd(rng, d):
    root = rng.standard_normal((d, d))
    return root @ root.T / d + 0.1 * np.eye(d)


def statistics(x):
    return x.mean(axis=0), np.cov(x, rowvar=False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def features(rng):
    """Full rank: more images than dimensions, correlated, of different means."""
    return rng.standard_normal((120, 24)) @ spd(rng, 24), rng.standard_normal((90, 24)) @ spd(rng, 24) + 0.3


def test_diagonal_gaussians_have_the_closed_form():
    mu1, mu2 = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0])
    s1, s2 = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    expected = 1 + 4 + np.square(np.sqrt(s1) - np.sqrt(s2)).sum()
    assert frechet_distance(mu1, np.diag(s1), mu2, np.diag(s2)) == pytest.approx(expected, rel=1e-12)


def test_scaling_a_gaussian_by_c_costs_its_trace_times_c_minus_1_squared(rng):
    mu, sigma = rng.standard_normal(6), spd(rng, 6)
    assert frechet_distance(mu, sigma, mu, 9 * sigma) == pytest.approx(4 * np.trace(sigma), rel=1e-10)


def test_features_moved_by_a_vector_are_its_squared_length_apart(rng):
    x, shift = rng.standard_normal((40, 64)), rng.standard_normal(64)  # singular covariance: 40 < 64
    assert frechet_from_features(x, x + shift) == pytest.approx(shift @ shift, rel=1e-9)
    assert frechet_from_features(x, x) == pytest.approx(0, abs=1e-9)


def test_equals_clean_fid_torchmetrics_and_the_matrix_root(features):
    (mu1, s1), (mu2, s2) = statistics(features[0]), statistics(features[1])
    ours = frechet_distance(mu1, s1, mu2, s2)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    assert ours == pytest.approx(np.square(mu1 - mu2).sum() + np.trace(s1 + s2 - 2 * root), rel=1e-10)
    assert ours == pytest.approx(cleanfid.frechet_distance(mu1, s1, mu2, s2), rel=1e-10)
    theirs = _compute_fid(*(torch.from_numpy(a) for a in (mu1, s1, mu2, s2)))
    assert ours == pytest.approx(float(theirs), rel=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(120, 90, 24), (30, 90, 64), (90, 30, 64), (20, 30, 64)])
def test_the_low_rank_identity_equals_the_covariance_form(rng, n, m, d):
    x, y = rng.standard_normal((n, d)) * 2, rng.standard_normal((m, d)) + 0.5
    direct = frechet_distance(*statistics(x), *statistics(y))
    assert frechet_from_features(x, y) == pytest.approx(direct, rel=1e-6)
    assert frechet_from_features(y, x) == pytest.approx(frechet_from_features(x, y), rel=1e-12)


def test_a_root_is_never_larger_than_needed(rng):
    assert fit_gaussian(rng.standard_normal((50, 8))).root.shape == (8, 8)
    assert fit_gaussian(rng.standard_normal((5, 8))).root.shape == (5, 8)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 90, 24), (20, 90, 24), (20, 12, 24)])
def test_influences_are_derivatives_by_the_weights_of_images(rng, n, m, d):
    """More images than features, fewer, and a reference of even fewer."""
    x, reference = rng.standard_normal((n, d)) * 0.8 + 0.3, fit_gaussian(rng.standard_normal((m, d)))

    def distance(weights):
        mean = weights @ x
        root = np.sqrt(weights * n / (n - 1))[:, None] * (x - mean)
        return frechet_between(Gaussian(mean=mean, root=root), reference)

    found, step = influences(x, reference), 1e-4
    for i in range(0, n, 7):
        moved = np.eye(n)[i] / n - 1 / n**2
        slope = (distance(1 / n + step * moved) - distance(1 / n - step * moved)) / (2 * step / n)
        assert found[i] == pytest.approx(slope, rel=1e-5, abs=1e-6)
    assert abs(found.mean()) < 1e-12


def test_influences_do_not_mind_features_far_from_0(rng):
    x, y = rng.standard_normal((30, 48)), rng.standard_normal((200, 48)) * 2
    near, far = (influences(x + shift, fit_gaussian(y + shift)) for shift in (0, 1e4))
    np.testing.assert_allclose(far, near, atol=1e-6)


def test_frechet_errors_say_what_was_found(rng):
    x = rng.standard_normal((5, 3))
    with pytest.raises(ValueError, match="at least 2 images"):
        fit_gaussian(x[:1])
    with pytest.raises(ValueError, match="1 of 5 images have NaN"):
        fit_gaussian(np.where(np.arange(5)[:, None] == 2, np.nan, x))
    with pytest.raises(ValueError, match="3 and 2 dimensions"):
        frechet_between(fit_gaussian(x), fit_gaussian(x[:, :2]))
    with pytest.raises(ValueError, match="different features"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(2), np.eye(2))


def test_kid_of_one_distribution_is_zero_on_average(rng):
    values = [kernel_distance(*rng.standard_normal((2, 40, 8))) for _ in range(300)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)
    assert min(values) < 0  # unbiased, so it must sometimes be negative


def test_kid_of_constant_features_is_the_kernel_itself():
    x, y = np.full((4, 2), 1.0), np.full((3, 2), -1.0)
    assert kernel_distance(x, y) == pytest.approx(2**3 + 2**3 - 2 * 0**3)  # x.x/D = 1, x.y/D = -1


def test_kid_equals_torchmetrics_and_clean_fid(features):
    x, y = (f[:90].astype(np.float64) for f in features)  # both libraries want equal sizes
    theirs = poly_mmd(torch.from_numpy(x), torch.from_numpy(y), degree=3, gamma=None, coef=1.0)
    assert kernel_distance(x, y) == pytest.approx(float(theirs), rel=1e-9)
    assert kernel_distance(x, y) == pytest.approx(cleanfid.kernel_distance(x, y, num_subsets=1), rel=1e-9)


def test_kid_replicates_add_the_mean_influence_of_resampled_images(features):
    """The influence is the derivative by the weight of an image, pairs of an image with itself left out."""
    x, y = features[0][:20], features[1]
    within, across = polynomial_kernel(x, x), polynomial_kernel(x, y).mean(axis=1)
    np.fill_diagonal(within, 0)

    def distance(weights):
        pairs = weights @ within @ weights / (20 * 19 / 400)
        return pairs + kernel_distance(x, y) - within.sum() / 380 - 2 * (weights - 1 / 20) @ across

    step = 1e-3 * (np.eye(20) - 1 / 20)
    slopes = [(distance(1 / 20 + s) - distance(1 / 20 - s)) / 2e-3 for s in step]
    expected = kernel_distance(x, y) + bootstrap_mean(np.array(slopes), 5)
    np.testing.assert_allclose(kernel_distance_replicates(x, y, num=5), expected, rtol=1e-9)


def test_kid_in_blocks_is_the_same(features, monkeypatch):
    x, y = features
    whole = kernel_distance_replicates(x, y, num=3)
    monkeypatch.setattr(kid, "BLOCK", 1000)
    np.testing.assert_allclose(kernel_distance_replicates(x, y, num=3), whole, rtol=1e-12)


def test_unit_length_makes_the_kernel_a_function_of_the_cosine(features):
    x = unit_length(features[0])
    assert np.diag(polynomial_kernel(x, x)) == pytest.approx(np.full(120, 8.0))
    assert unit_length(features[0] * 7) == pytest.approx(x)


def test_kid_errors():
    broken = np.ones((4, 3))
    broken[1, 2] = np.nan
    for call in (kernel_distance, kernel_distance_replicates):
        with pytest.raises(ValueError, match="KID needs finite features; 1 images have others"):
            call(np.ones((4, 3)), broken)
    with pytest.raises(ValueError, match="at least 2"):
        kernel_distance(np.zeros((1, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="one network"):
        kernel_distance(np.zeros((4, 2)), np.zeros((4, 3)))
