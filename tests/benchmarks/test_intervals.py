"""Intervals hold the right value as often as they say, and equally good rows are seldom told apart, by the real code of both."""

import numpy as np
import pytest

from benchmarks import intervals
from benchmarks.worlds import WORLDS, World
from lightning_mmdiff.metrics.results import MetricResult, mean_result

pytestmark = pytest.mark.usefixtures("one_thread")
SIGMAS = 3  # of the Monte-Carlo error that is granted
DISCRETE = ("share of images, .99",)
"""Few outcomes are possible, so that coverage jumps: summed over all of them it is .973 at n = 64."""
WIDE = ("Frechet distance", "kernel distance", "recall")
"""Intervals that may be too wide (``docs/statistics.md``), never too narrow."""


def accuracies(right: list[list[int]]) -> list[MetricResult]:
    """One training for each list of the images, of 256, that it has right."""
    hits = np.zeros((len(right), 256), bool)
    for row, images in zip(hits, right):
        row[images] = True
    return [mean_result("Top1", row, better="higher") for row in hits]


@pytest.mark.parametrize("trainings", [1, 3])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("better", [1, 2, 4])
def test_few_differing_images_decide_nothing(better: int, apart: bool, trainings: int) -> None:
    """The same images differ in every training, or others in each."""
    half = list(range(128))
    for start in range(128, 240, 16):
        more = [[start + 4 * apart * i + j for j in range(better)] for i in range(trainings)]
        a, b = accuracies([half + each for each in more]), accuracies([half] * trainings)
        assert intervals.claim(a, b).decision == "undecided"


def test_two_two_and_three_differing_images_decide_nothing() -> None:
    """Over trainings alone, 2, 2 and 3 have the interval .9 to 3.8."""
    half = list(range(128))
    a = accuracies([half + [130, 131], half + [140, 141], half + [150, 151, 152]])
    found = intervals.claim(a, accuracies([half] * 3))
    assert found.difference == pytest.approx(7 / 3 / 256)
    assert found.decision == "undecided"


def test_what_is_far_apart_is_decided_by_three_trainings() -> None:
    a = accuracies([list(range(128 + 40 + i)) for i in range(3)])
    b = accuracies([list(range(128))] * 3)
    assert intervals.claim(a, b).decision == "holds"
    assert intervals.claim(b, a).decision == "fails"
    assert intervals.claim(a[:2], b[:2]).decision == "undecided"
    assert intervals.apart(intervals.claim(a[:1], b[:1]))


def test_a_trial_shares_conditions_between_rows_and_trainings() -> None:
    seen: list[np.ndarray] = []

    def keep(z: np.ndarray) -> list[MetricResult]:
        seen.append(z[:, 0])
        return []

    World(name="", size=1, measure=keep).trial(np.random.default_rng(0), 20_000, 2)
    found = np.corrcoef(seen)  # two trainings of a row, then two of the other
    expected = np.full((4, 4), 0.3)
    expected[:2, :2] = expected[2:, 2:] = 0.5
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("n", [64, 256])
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_intervals_are_calibrated(world: World, n: int) -> None:
    """Coverage of .93 to .97 (``WIDE``: or more), false decisions of .07 at most, each within the error of so many trials."""
    for line in intervals.measure(world, n, 40 if world.size > 12 else 200):
        slack = SIGMAS * line.error("covered, 1 training")
        if line.protocol not in DISCRETE:
            assert line.rate("covered, 1 training") >= 0.93 - slack, line.protocol
            if not line.protocol.startswith(WIDE):
                assert line.rate("covered, 1 training") <= 0.97 + slack, line.protocol
        for column in ("covered, 3", "covered, 5"):
            assert line.rate(column) >= 0.93 - SIGMAS * line.error(column), line.protocol
        for column in ("decided, 3", "decided, 5"):
            assert line.rate(column) <= 0.07 + SIGMAS * line.error(column), line.protocol
