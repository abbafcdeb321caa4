"""Durations in words."""

import pytest

from lightning_mmdiff.runtime.durations import duration

WORDS = {
    0: "under 1 s", 0.00619: "under 1 s", 0.7: "1 s", 42.4: "42 s", 59.4: "59 s", 59.7: "1 min", 95.2: "1 min 35 s",
    3575: "59 min 35 s", 3599.8: "1 h", 77 * 60: "1 h 17 min", 7260: "2 h 1 min", 36 * 3600: "36 h",
    172_790: "48 h", 53 * 3600: "2 days 5 h",
}  # fmt: skip


@pytest.mark.parametrize("seconds", WORDS)
def test_a_duration_has_at_most_two_units(seconds: float) -> None:
    assert duration(seconds) == WORDS[seconds]


def test_the_words_tell_the_time_to_half_of_their_smaller_unit() -> None:
    sizes, smaller = {"s": 1, "min": 60, "h": 3600, "days": 86_400}, {"s": 1, "min": 1, "h": 60, "days": 3600}
    for seconds in [*range(1, 4000), *range(4000, 400_000, 97)]:
        words = duration(seconds).split()
        told = sum(int(count) * sizes[unit] for count, unit in zip(words[::2], words[1::2]))
        assert abs(told - seconds) <= smaller[words[1]] / 2, (seconds, words)
