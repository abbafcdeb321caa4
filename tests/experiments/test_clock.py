"""The time left, in closed form: runs whose work and speed are known, one process or two."""

from dataclasses import replace

import pytest
import small_runs

from experiments.core import costs
from experiments.engine.clock import Clock

DENOISERS = [replace(small_runs.expert(steps=3), name=f"expert {i}") for i in range(3)]
GANS = [replace(small_runs.gan(steps=2), name=f"gan {i}") for i in range(2)]
UNIT = {type(DENOISERS[0].model): 2.0, type(GANS[0].model): 7.0}
"""Seconds of a unit of work."""


def seconds(run) -> float:
    return costs.work([run])[run] * UNIT[type(run.model)]


class Hand:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def do(clock: Clock, hand: Hand, run) -> None:
    clock.begin(run)
    hand.at += seconds(run)
    clock.finished(run)


def test_every_kind_is_as_fast_as_it_was() -> None:
    hand = Hand()
    clock = Clock([*DENOISERS, *GANS], hand)
    assert clock.remaining() is None
    assert "left" not in clock.describe(DENOISERS[0])
    do(clock, hand, DENOISERS[0])
    do(clock, hand, GANS[0])
    assert clock.remaining() == pytest.approx(seconds(DENOISERS[1]) + seconds(DENOISERS[2]) + seconds(GANS[1]))
    for run in (GANS[1], DENOISERS[1], DENOISERS[2]):
        do(clock, hand, run)
    assert clock.remaining() == 0


def test_trainings_that_have_not_begun_count_by_their_work_until_one_is_done() -> None:
    hand = Hand()
    clock = Clock([DENOISERS[0], *GANS], hand)
    do(clock, hand, DENOISERS[0])
    units = sum(costs.evaluations(gan) * gan.model.step_work for gan in GANS)
    assert clock.remaining() == pytest.approx(2.0 * units)
    assert GANS[0].model.step_work > 1
    do(clock, hand, GANS[0])
    assert clock.remaining() == pytest.approx(seconds(GANS[1]))


def test_two_processes_need_half_of_the_time() -> None:
    """The other one trains as fast, and finishes its own run at the same moments."""
    hand = Hand()
    clock = Clock([*DENOISERS, *(replace(run, name=f"again {run.name}") for run in DENOISERS)], hand)
    mine, theirs = clock.left[:3], clock.left[3:]
    do(clock, hand, mine[0])
    clock.finished(theirs[0])
    assert clock.remaining() == pytest.approx(2 * seconds(mine[1]))


def test_before_an_own_run_is_done_the_others_tell() -> None:
    hand = Hand()
    clock = Clock(DENOISERS, hand)
    clock.begin(DENOISERS[0])
    hand.at += 5
    clock.finished(DENOISERS[1])
    assert clock.remaining() == pytest.approx(10)
