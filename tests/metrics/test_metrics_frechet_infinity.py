import numpy as np
import pytest

from lightning_mmdiff.metrics.bootstrap import resamples
from lightning_mmdiff.metrics.frechet import Gaussian, fit_gaussian, frechet_between, frechet_distance
from lightning_mmdiff.metrics.frechet_infinity import LEAST_IMAGES, infinity_result, ratio_result
from lightning_mmdiff.metrics.results import MetricResult, frechet_result

DIMENSIONS = 40
SCALES = np.linspace(1, 0.1, DIMENSIONS)
"""Standard deviations of the reference, whose covariance is diagonal."""
REFERENCE = Gaussian(mean=np.zeros(DIMENSIONS), root=np.diag(SCALES))


def drawn(rng, n, *, shift=0.0, scale=1.0):
    return scale * SCALES * rng.standard_normal((n, DIMENSIONS)) + shift


def infinity(x, reference=REFERENCE):
    return infinity_result("FD-Infinity", x, reference, frechet_result("FD", x, reference), reference="known")


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.1, 0.7), (0.0, 1.3)])
def test_it_finds_the_known_distance_of_gaussians_where_the_distance_of_n_images_does_not(shift, scale):
    """|mu|^2 + sum (c s_i - s_i)^2: the plain distance is above it by 12 to 60 of its own standard deviations."""
    rng = np.random.default_rng(0)
    true = DIMENSIONS * shift**2 + np.square((scale - 1) * SCALES).sum()
    covariance = np.diag(np.square(SCALES))
    known = frechet_distance(np.full(DIMENSIONS, shift), scale**2 * covariance, np.zeros(DIMENSIONS), covariance)
    assert true == pytest.approx(known, abs=1e-9)
    sets = [drawn(rng, 256, shift=shift, scale=scale) for _ in range(40)]
    plain = np.array([frechet_between(fit_gaussian(x), REFERENCE) for x in sets])
    found = np.array([infinity(x).value for x in sets])
    error = found.std() / np.sqrt(len(sets))
    bias = plain.mean() - true
    assert bias > 6 * plain.std() / np.sqrt(len(sets))
    assert abs(found.mean() - true) < max(4 * error, 0.1 * bias)


def test_intervals_cover_the_known_distance():
    rng = np.random.default_rng(1)
    true = np.square(0.3 * SCALES).sum()
    results = [infinity(drawn(rng, 256, scale=1.3)) for _ in range(40)]
    covered = [low <= true <= high for low, high in (r.to_json()["interval"] for r in results)]
    assert np.mean(covered) >= 0.9
    spread = np.std([r.value for r in results])
    assert 0.7 * spread < np.mean([r.replicates.std() for r in results]) < 2 * spread


def test_it_is_the_line_through_all_images_and_both_halves():
    x = drawn(np.random.default_rng(2), 301)
    order = np.random.default_rng(0).permutation(301)

    def at_zero(rows):
        parts = [rows[order[:150]], rows[order[150:]]]
        halves = np.mean([frechet_between(fit_gaussian(part), REFERENCE) for part in parts])
        whole = frechet_between(fit_gaussian(rows), REFERENCE)
        slope, value = np.polyfit([1, 2], [whole, halves], 1)
        return value

    result = infinity(x)
    assert result.value == pytest.approx(at_zero(x), rel=1e-9)
    assert (result.n, result.better, result.extra) == (301, "lower", {"reference": "known"})


def test_replicates_move_as_the_value_of_resamples_does():
    """Of many images of few features, where resamples spread as new images do."""
    few = Gaussian(mean=np.zeros(3), root=np.eye(3))
    x = 1.3 * np.random.default_rng(5).standard_normal((4000, 3)) + 0.2
    found = infinity(x, few)
    moved = [infinity(x[index], few).value for index in resamples(len(x), 60)]
    assert np.corrcoef(found.replicates[:60], moved)[0, 1] > 0.9
    assert np.std(found.replicates[:60]) == pytest.approx(np.std(moved), rel=0.2)


def test_more_features_than_images_take_another_route_to_the_same_numbers():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((LEAST_IMAGES, 200)), rng.standard_normal((500, 200))
    narrow = infinity(x, fit_gaussian(y))
    wide = infinity(np.pad(x, ((0, 0), (0, 100))), fit_gaussian(np.pad(y, ((0, 0), (0, 100)))))
    assert wide.value == pytest.approx(narrow.value, rel=1e-5)
    np.testing.assert_allclose(wide.replicates, narrow.replicates, rtol=1e-5)  # roots of eigenvalues that are 0


def test_fewer_than_256_images_are_refused():
    with pytest.raises(ValueError, match="FD-Infinity needs 256 images, got 255"):
        infinity(drawn(np.random.default_rng(0), 255))


def result(value, replicates):
    return MetricResult(protocol="FD", value=value, n=8, better="lower", replicates=np.array(replicates))


def test_the_ratio_of_two_distances_and_its_spread():
    distance, real = result(6.0, [9.0, 11.0]), result(2.0, [5.0, 5.5])
    ratio = ratio_result("FD-Ratio", distance, real)
    assert ratio.value == 3
    # deviations -1, +1 of the distance and -.25, +.25 of the real one: 3 + (d - 3 d') / 2
    np.testing.assert_allclose(ratio.replicates, [3 + (-1 + 0.75) / 2, 3 + (1 - 0.75) / 2])
    assert (ratio.protocol, ratio.n) == ("FD-Ratio", 8)


def test_a_perfect_model_has_the_ratio_1_at_every_n():
    rng = np.random.default_rng(4)
    for n in (32, 128):
        ratios = []
        for _ in range(40):
            model, real = (frechet_result("FD", drawn(rng, n), REFERENCE, num=5) for _ in range(2))
            ratios.append(ratio_result("FD-Ratio", model, real).value)
        assert np.mean(ratios) == pytest.approx(1, abs=4 * np.std(ratios) / np.sqrt(40))
