"""Two ways to do the same work, timed in turn (A B A B ...) so that a slow moment of the machine meets both of them.

A result is a ratio within one run; it is printed and stored, never asserted.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from lightning_mmdiff.runtime.files import write_json

PACKAGES = ("torch", "lightning", "diffusers", "numpy", "pillow", "timm")
"""Packages whose versions can change a result."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkFlags:
    """What every benchmark can be told."""

    pairs: int = 5
    """How often each of the two sides is timed."""
    threads: int = torch.get_num_threads()
    """Threads of torch."""
    clock: Literal["wall", "cpu"] = "wall"
    """What is timed. On a busy machine ``--clock cpu --threads 1`` (processor time) still says something."""
    out: Path | None = None
    """Also write the results to this JSON file."""

    def __post_init__(self) -> None:
        if self.pairs < 1 or self.threads < 1:
            raise ValueError(f"--pairs and --threads must be at least 1, got {self.pairs} and {self.threads}.")

    def now(self) -> float:
        """Seconds on the chosen clock."""
        return time.perf_counter() if self.clock == "wall" else time.process_time()


@dataclass(frozen=True, kw_only=True)
class Side:
    """One way to do the work."""

    run: Callable[[], Any]
    units: int
    """Units of work (images, steps) that one call does."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Seconds per unit of work of both sides, pair by pair."""

    title: str
    ours: str
    reference: str
    unit: str
    """What a second is divided by: "image", "step"."""
    seconds: tuple[tuple[float, float], ...]
    """Per unit: (ours, reference) of each pair."""
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    """Measured beside the ratio, e.g. how far the two results are apart."""

    @property
    def ratios(self) -> list[float]:
        """How many times faster than the reference we are, in each pair."""
        return [reference / ours for ours, reference in self.seconds]

    def as_json(self) -> dict[str, Any]:
        """Everything, with the summary that ``lines`` prints."""
        ratios = self.ratios
        summary = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
        return {**vars(self), "settings": dict(self.settings), "ratios": ratios, "ratio": summary}

    def lines(self) -> list[str]:
        """The result for a terminal."""
        width = max(len(self.ours), len(self.reference))
        rates = [statistics.median(side) for side in zip(*self.seconds)]
        low, high = min(self.ratios), max(self.ratios)
        return [
            self.title,
            "  " + ", ".join(f"{name} {value}" for name, value in self.settings.items()),
            *(
                f"  {name:{width}}  {1 / seconds:10.2f} {self.unit}s/s"
                for name, seconds in zip((self.ours, self.reference), rates)
            ),
            f"  RATIO {statistics.median(self.ratios):.3g} ({low:.3g} .. {high:.3g}): median (min .. max) of "
            f"{len(self.seconds)} pairs, above 1 is faster than the reference",
            *(f"  {note}" for note in self.notes),
        ]


def in_turn(
    ours: Side, reference: Side, flags: BenchmarkFlags, now: Callable[[], float] | None = None
) -> tuple[tuple[float, float], ...]:
    """Time the two sides in turn, ``flags.pairs`` times; seconds per unit. Call both once before, so that they are warm.

    Args:
        ours: one side.
        reference: the other.
        flags: how often.
        now: seconds on a clock; None is that of ``flags``.
    """
    now = now or flags.now
    return tuple((_seconds(ours, now), _seconds(reference, now)) for _ in range(flags.pairs))


def report(comparisons: Sequence[Comparison], flags: BenchmarkFlags) -> None:
    """Print the results and where they were measured; write them to ``flags.out``."""
    where = {"clock": flags.clock, **environment()}
    for comparison in comparisons:
        print("\n".join(comparison.lines()), flush=True)
    print("  " + ", ".join(f"{name} {value}" for name, value in where.items()), flush=True)
    if flags.out is not None:
        write_json(flags.out, {"environment": where, "results": [c.as_json() for c in comparisons]})


def environment() -> dict[str, Any]:
    """Versions, threads, processor cores, and how busy the machine was in the last minute."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }


def _seconds(side: Side, now: Callable[[], float]) -> float:
    start = now()
    side.run()
    return (now() - start) / side.units
