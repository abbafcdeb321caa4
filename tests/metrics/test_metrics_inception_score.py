import time

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torchmetrics.image.inception import InceptionScore

from lightning_mmdiff.metrics.bootstrap import resamples
from lightning_mmdiff.metrics.inception_score import (
    inception_score,
    inception_score_replicates,
    inception_score_result,
)


@pytest.fixture
def logits():
    return 3 * np.random.default_rng(0).standard_normal((230, 12))


def by_definition(probabilities, chunk):
    """The mean over consecutive chunks of exp(mean KL), image by image, with scipy's relative entropy."""
    scores = []
    for start in range(0, len(probabilities), chunk):
        part = probabilities[start : start + chunk]
        scores.append(np.exp(np.mean([entropy(row, part.mean(axis=0)) for row in part])))
    return np.mean(scores)


@pytest.mark.parametrize("chunk", [5000, 230, 100, 23])
def test_equals_the_definition(logits, chunk):
    probabilities = softmax(logits, axis=1)
    assert inception_score(probabilities, chunk=chunk) == pytest.approx(by_definition(probabilities, chunk), rel=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_equals_torchmetrics_on_one_chunk(logits):
    metric = InceptionScore(feature=torch.nn.Identity(), splits=1)
    metric.features.append(torch.from_numpy(logits).float())
    theirs = float(metric.compute()[0])
    assert inception_score_result("IS", logits).value == pytest.approx(theirs, rel=1e-5)


def test_known_values():
    sure = np.tile(np.eye(7), (3, 1))  # every class equally often, no doubt: K; also 0 log 0
    assert inception_score(sure) == pytest.approx(7)
    assert inception_score(np.full((20, 7), 1 / 7)) == pytest.approx(1)  # no image says anything
    assert inception_score(np.tile(np.eye(7)[2], (20, 1))) == pytest.approx(1)  # collapse


def test_5000_images_are_one_chunk_and_the_order_of_files_matters():
    classes = np.repeat(np.eye(4), 2500, axis=0)  # sorted by class
    assert inception_score(classes) == pytest.approx(2)  # two classes in each chunk of 5000
    assert inception_score(classes[np.arange(10000) % 4 * 2500 + np.arange(10000) // 4]) == pytest.approx(4)
    assert inception_score(np.repeat(np.eye(4), 1250, axis=0)) == pytest.approx(4)  # 5,000: one chunk


def test_extreme_logits_stay_finite():
    logits = np.array([[1e4, 0, -1e4], [0, 1e4, 0], [0, 0, 1e4]], np.float32)
    assert inception_score_result("IS", logits).value == pytest.approx(3)


@pytest.mark.parametrize("chunk", [5000, 20, 39])
def test_replicates_move_as_the_score_without_each_image(logits, chunk):
    """Chunks of 40, of 20 and 20, of 39 and 1 images."""
    probabilities = softmax(logits[:40], axis=1)
    starts = range(0, 40, chunk)
    values = []
    for part in (probabilities[i : i + chunk] for i in starts):
        n, score = len(part), by_definition(part, 5000)
        without = [by_definition(np.delete(part, i, axis=0), 5000) for i in range(n)] if n > 1 else [score]
        values.extend((n * score - (n - 1) * np.array(without)) * 40 / len(starts) / n)
    moved = np.array(values)[resamples(40, 6)].mean(axis=1) - np.mean(values)
    replicates = inception_score_replicates(probabilities, chunk=chunk, num=6)
    np.testing.assert_allclose(replicates, by_definition(probabilities, chunk) + moved, rtol=1e-9)


@pytest.mark.parametrize(("classes", "sharpness"), [(10, 4.0), (300, 3.0)])
def test_replicates_spread_as_new_images_do(classes, sharpness):
    """Scores of 5 and 20; with 300 classes, the scores of resamples spread .8 times as much."""
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((12, classes)) / np.sqrt(1 + np.arange(12))[:, None]
    drawn = [softmax(sharpness * rng.standard_normal((128, 12)) @ axes, axis=1) for _ in range(400)]
    values = np.array([inception_score(p) for p in drawn])
    said = np.mean([inception_score_replicates(p).std() for p in drawn[:40]])
    assert said == pytest.approx(values.std(), rel=0.15)


def test_result_says_how_it_was_made_and_is_fast():
    logits = np.random.default_rng(1).standard_normal((256, 1000)).astype(np.float32)
    start = time.perf_counter()
    result = inception_score_result("IS-EffNetLite0", logits, classes=1000)
    assert time.perf_counter() - start < 10  # 0.03 s on an idle core
    entry = result.to_json()
    assert entry["interval"][0] < entry["value"] < entry["interval"][1]
    assert (entry["n"], entry["better"], entry["classes"]) == (256, "higher", 1000)
    assert len(result.replicates) == 200


def test_errors():
    with pytest.raises(ValueError, match="give logits"):
        inception_score(np.array([[2.0, 3.0]]))
    with pytest.raises(ValueError, match=r"\[N, K\], got shape \[3\]"):
        inception_score(np.ones(3))
    with pytest.raises(ValueError, match="IS: 1 images have logits"):
        inception_score_result("IS", np.array([[0.0, np.nan], [1, 2]]))
