"""Intervals hold the right value as often as they say, and equally good rows are seldom told apart, by the real code of both."""

import numpy as np
import pytest

from benchmarks import interval_page as page
from benchmarks import intervals
from benchmarks.worlds import WORLDS, World
from lightning_mmdiff.metrics.results import MetricResult, mean_result

pytestmark = pytest.mark.usefixtures("one_thread")


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

    def keep(z: np.ndarray, _: np.ndarray) -> list[MetricResult]:
        seen.append(z[:, 0])
        return []

    World(name="", size=1, measure=keep).trial(np.random.default_rng(0), 20_000, 2)
    found = np.corrcoef(seen)  # two trainings of a row, then two of the other
    expected = np.full((4, 4), 0.3)
    expected[:2, :2] = expected[2:, 2:] = 0.5
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(found, expected, atol=0.03)


ROWS = page.rows_of(page.block(), intervals.HEADER)


def test_the_page_is_what_the_command_writes() -> None:
    narrow = page.rows_of(page.block(), intervals.NARROW)
    assert page.block() == intervals.tables(ROWS, narrow)
    assert {row[1] for row in narrow} == {"8", "64", "256"}


def test_the_page_has_every_metric_at_every_number_of_images() -> None:
    found = [world.trial(np.random.default_rng(0), 8, 1)[0][0] for world in WORLDS]
    lines = {(r.protocol, n) for results in found for r in results for n in ("8", "64", "256")}
    assert lines | {(f"Frechet distance at infinity, {size} features", "256") for size in (32, 100)} == {
        (name, n) for name, n, *_ in ROWS
    }


def test_what_is_outside_the_bands_is_listed_with_its_reason_and_nothing_else() -> None:
    bold = {row[0] for row in ROWS if any(cell.startswith("**") for cell in row)}
    assert bold == page.OUTSIDE.keys()


def test_rates_are_outside_beyond_two_standard_errors() -> None:
    assert not page.outside(0.98, 0.006, decided=False)
    assert page.outside(0.98, 0.004, decided=False)
    assert page.outside(0.92, 0.004, decided=False)
    assert page.outside(0.08, 0.004, decided=True)
    assert not page.outside(0.01, 0.001, decided=True)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_intervals_are_calibrated_at_64_images(world: World) -> None:
    """Coverage .93 to .97, equally good rows told apart at most 7 times in 100, but for what the page lists."""
    trials = 30 if world.name.startswith("neighbors") else 60 if world.name.startswith("distances") else 150
    for line in intervals.measure(world, 64, trials):
        known = page.OUTSIDE.get(line.protocol, ("",))[0]
        found = {column: line.rate(column) for column in line.outside()}
        assert known == "narrow" or not any(intervals.BANDS[column] for column in found), line.cells()
        assert {"wide" if rate > 0.95 else "narrow" for rate in found.values()} <= {known}, line.cells()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SSIM", "perceptual distance"])
def test_intervals_of_8_images_need_students_t(name: str) -> None:
    """A normal quantile covers .90 to .91 there."""
    (world,) = (world for world in WORLDS if world.name == name)
    (line,) = intervals.measure(world, 8, 300)
    assert not page.outside(line.rate(intervals.COLUMNS[0]), line.error(intervals.COLUMNS[0]), decided=False)
