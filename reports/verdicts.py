"""Verdicts on single numbers: does ours agree with the published one, as far as the two can be compared at all."""

import dataclasses
from collections.abc import Sequence

from reports.schema import PUBLISHED_SETTING, Interval, Metric, Score, Verdict

# Retraining alone moves FID by 1-2% ("The FID Lottery", arXiv 2606.20536): a smaller gap means nothing.
NOISE_FLOOR = 0.013


def known_better(metric: Metric, scores: Sequence[Score]) -> Metric:
    """Return ``metric`` with what the scores of all seeds know of their reference; the least comparable one counts."""
    known = (score for score in scores if score.comparable is not None)
    least = min(known, key=lambda score: bool(score.comparable), default=None)
    if least is None:
        return metric
    return dataclasses.replace(metric, comparable=bool(least.comparable), basis=least.basis)


def verdict_of(
    metric: Metric, value: float | None, interval: Interval | None, published: float | None, profile: str
) -> tuple[Verdict | None, str]:
    """Return the verdict on a measured value against the published one, and the reason.

    Args:
        metric: column, which says whether its numbers can be compared.
        value: measured value; None if there is none.
        interval: its 95% interval.
        published: published value; None if there is none.
        profile: profile of the run; only one at the published setting can agree.
    """
    if value is None:
        return None, "not measured"
    if published is None:
        return None, "nothing published"
    obstacles = [f"the {profile} profile is not the published setting"] if profile not in PUBLISHED_SETTING else []
    if not metric.comparable:
        obstacles.append(metric.basis or f"{metric.protocol} is not {metric.column}")
    if obstacles:
        return "not comparable", " and ".join(obstacles)
    basis, gap = f"; {metric.basis}" if metric.basis else "", abs(value - published)
    floor, half = NOISE_FLOOR * abs(published), (interval[1] - interval[0]) / 2 if interval else 0.0
    if gap <= floor and half <= floor:
        return "agrees", f"within {NOISE_FLOOR:.1%} of the published value{basis}"
    if interval and gap <= half:
        return "within noise", f"the gap is at most half the 95% interval, which is too wide to agree{basis}"
    distance = f"{gap / abs(published):.1%} from the published value" if published else "published value is 0"
    return "differs", distance + basis
