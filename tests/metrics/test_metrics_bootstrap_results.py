import json

import numpy as np
import pytest
from scipy import stats

from lightning_mmdiff.metrics.bootstrap import bootstrap_mean, bootstrap_statistic, interval, resamples, wilson_interval
from lightning_mmdiff.metrics.frechet import fit_gaussian, frechet_from_features
from lightning_mmdiff.metrics.kid import kernel_distance, unit_length
from lightning_mmdiff.metrics.results import (
    MetricResult,
    frechet_result,
    kernel_result,
    mean_result,
    save_results,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_resamples_are_common_to_everyone():
    indices = resamples(50, 20)
    assert indices.shape == (20, 50)
    assert (indices == resamples(50, 20)).all()
    assert (indices[:5] == resamples(50, 5)).all()  # fewer replicates are the first of more
    assert not (indices == resamples(50, 20, seed=1)).all()
    assert indices.min() >= 0
    assert indices.max() < 50


def test_replicates_of_a_mean_are_means_of_the_common_resamples(rng):
    values = rng.standard_normal(50)
    expected = values[resamples(50, 1000)].mean(axis=1)
    np.testing.assert_allclose(bootstrap_mean(values), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(bootstrap_statistic(np.mean, values, num=30), expected[:30], rtol=1e-12, atol=1e-15)
    assert bootstrap_mean(values).std() == pytest.approx(values.std() / np.sqrt(50), rel=0.1)


def test_paired_differences_are_tighter_than_the_rows(rng):
    hard = rng.standard_normal(200)  # a difficulty that both rows share
    a, b = hard + 0.1 * rng.standard_normal(200), hard + 0.1 * rng.standard_normal(200) - 0.1
    difference = bootstrap_mean(a) - bootstrap_mean(b)
    assert difference.std() < bootstrap_mean(a).std() / 3
    np.testing.assert_allclose(difference, bootstrap_mean(a - b), atol=1e-12)


def test_interval_of_a_mean_covers_the_truth_19_times_in_20(rng):
    hits = 0
    for _ in range(400):
        values = rng.standard_normal(60) + 3
        low, high = interval(values.mean(), bootstrap_mean(values, num=200), len(values))
        hits += low <= 3 <= high
    assert 0.90 < hits / 400 < 0.98


@pytest.mark.parametrize(("n", "probability"), [(8, 0.5), (64, 0.97), (256, 0.99)])
def test_equal_rows_are_seldom_told_apart(rng, n: int, probability: float):
    """Two rows of one accuracy: at most .07 of the paired intervals leave 0 out; quantiles did so in .19 to .28."""
    decided = 0
    for _ in range(400):
        a, b = (rng.random((2, n)) < probability).astype(float)
        low, high = interval((a - b).mean(), bootstrap_mean(a - b, num=200), n)
        decided += not low <= 0 <= high
    assert decided / 400 <= 0.07


@pytest.mark.parametrize("better", [1, 2, 3])
def test_few_differing_images_decide_nothing(better: int):
    a = np.zeros(256)
    for start in range(0, 256, 16):
        difference = a.copy()
        difference[start : start + better] = 1
        low, high = interval(difference.mean(), bootstrap_mean(difference), 256)
        assert low < 0 < high


def test_what_does_not_vary_has_an_interval_without_a_width():
    assert interval(3.0, np.full(1000, 3.0), 1) == (3.0, 3.0)


@pytest.mark.parametrize("n", [64, 256])
@pytest.mark.parametrize("probability", [0.5, 0.97, 0.99])
def test_a_share_is_covered_also_near_1(n: int, probability: float):
    """Summed over all outcomes; Student's t covers .47 for .99 of 64 images, half of whose sets have no other image."""
    hits = np.arange(n + 1)
    weight = stats.binom.pmf(hits, n, probability)
    covered = [low <= probability <= high for low, high in (wilson_interval(k / n, n) for k in hits)]
    assert 0.93 < weight @ covered < 0.975


def test_shares_have_wilsons_interval():
    for k in (0, 1, 9, 64):
        expected = stats.binomtest(k, 64).proportion_ci(method="wilson")
        assert wilson_interval(k / 64, 64) == pytest.approx((expected.low, expected.high), abs=1e-12)
    hits = mean_result("Top1", np.ones(8, bool), better="higher")
    assert hits.to_json()["interval"] == pytest.approx([0.676, 1], abs=1e-3)
    assert hits.to_json()["share"]
    ones = mean_result("SSIM", np.ones(8), better="higher")  # real images have this SSIM with certainty
    assert ones.to_json()["interval"] == [1, 1]
    assert "share" not in ones.to_json()


def test_interval_is_about_the_value_wherever_the_replicates_are():
    low, high = interval(5.0, np.array([7.0, 8.0, 9.0]), 40)
    assert low < 5 < high
    assert high - 5 == pytest.approx(5 - low)


def test_arrays_are_resampled_together(rng):
    x = rng.standard_normal((30, 2))
    assert (bootstrap_statistic(lambda a, b: float(np.abs(a - b).max()), x, x.copy(), num=5) == 0).all()


def test_bootstrap_errors():
    with pytest.raises(ValueError, match="1 not finite"):
        bootstrap_mean(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="finite values"):
        bootstrap_mean(np.zeros(0))
    with pytest.raises(ValueError, match="resample 0 images"):
        resamples(0, 3)
    with pytest.raises(ValueError, match=r"\[3, 4\]"):
        bootstrap_statistic(np.mean, np.zeros(3), np.zeros(4))


def test_results_make_the_round_trip_through_the_files(rng, tmp_path):
    x, y = rng.standard_normal((40, 16)), rng.standard_normal((60, 16)) + 0.2
    results = [
        mean_result("SSIM", rng.random(40), better="higher"),
        frechet_result("FD-EffNetLite0", x, fit_gaussian(y), num=50, reference="60 real images"),
        kernel_result("KID-EffNetLite0", unit_length(x), unit_length(y), num=50),
    ]
    save_results(tmp_path / "run", results)
    stored = json.loads((tmp_path / "run" / "metrics.json").read_text())
    replicates = np.load(tmp_path / "run" / "replicates.npz")
    assert list(stored) == ["SSIM", "FD-EffNetLite0", "KID-EffNetLite0"]
    assert sorted(replicates.files) == sorted(stored)
    for result in results:
        entry = stored[result.protocol]
        assert entry["value"] == result.value
        assert entry["n"] == 40
        assert entry["interval"][0] < entry["value"] < entry["interval"][1]
        assert (replicates[result.protocol] == result.replicates).all()
        assert replicates[result.protocol].dtype == np.float64
    assert stored["SSIM"]["better"] == "higher"
    assert stored["FD-EffNetLite0"]["reference"] == "60 real images"
    assert results[1].value == pytest.approx(frechet_from_features(x, y))
    assert results[2].value == pytest.approx(kernel_distance(unit_length(x), unit_length(y)))
    assert kernel_result("KID", x, y, num=2).value == pytest.approx(kernel_distance(x, y))


def test_what_is_not_a_result_is_refused(tmp_path):
    fine = {"protocol": "SSIM", "value": 0.5, "n": 3, "better": "higher", "replicates": np.zeros(4)}
    with pytest.raises(ValueError, match="SSIM is nan"):
        MetricResult(**{**fine, "value": float("nan")})
    with pytest.raises(ValueError, match="extra may not hold"):
        MetricResult(**fine, extra={"n": 4})
    with pytest.raises(ValueError, match="Two results of one protocol"):
        save_results(tmp_path, [MetricResult(**fine), MetricResult(**fine)])
    assert not list(tmp_path.iterdir())
