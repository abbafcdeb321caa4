"""Timing of two ways to do the same work, in turn (A B A B ...), so that slow moments of the machine affect both.

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
    """Settings of every benchmark."""

    pairs: int = 5
    """Number of timings of each side."""
    threads: int = torch.get_num_threads()
    """Number of torch threads."""
    clock: Literal["wall", "cpu"] = "wall"
    """Clock of the timings. On a busy machine, ``--clock cpu --threads 1`` (processor time) is still meaningful."""
    out: Path | None = None
    """JSON file to which the results are also written."""

    def __post_init__(self) -> None:
        if self.pairs < 1 or self.threads < 1:
            raise ValueError(f"--pairs and --threads must be at least 1, got {self.pairs} and {self.threads}.")

    def now(self) -> float:
        """Return the seconds on the chosen clock."""
        return time.perf_counter() if self.clock == "wall" else time.process_time()


@dataclass(frozen=True, kw_only=True)
class Side:
    """One way to do the work."""

    run: Callable[[], Any]
    units: int
    """Units of work (images, steps) per call."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Seconds per unit of work of both sides, pair by pair."""

    title: str
    ours: str
    reference: str
    unit: str
    """Unit of work: "image", "step"."""
    seconds: tuple[tuple[float, float], ...]
    """Seconds per unit, (ours, reference) of each pair."""
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    """Measurements besides the ratio, e.g. the difference between the two results."""

    @property
    def ratios(self) -> list[float]:
        """Speed of ours relative to the reference, in each pair."""
        return [reference / ours for ours, reference in self.seconds]

    def as_json(self) -> dict[str, Any]:
        """Return all fields, with the summary that ``lines`` prints."""
        ratios = self.ratios
        summary = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
        return {**vars(self), "settings": dict(self.settings), "ratios": ratios, "ratio": summary}

    def lines(self) -> list[str]:
        """Return the result as lines for a terminal."""
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
    """Time the two sides in turn and return the seconds per unit of each pair. Call both once before, to warm them up.

    Args:
        ours: our side.
        reference: reference side.
        flags: settings, with the number of pairs.
        now: function that returns the seconds on a clock; None uses the clock of ``flags``.
    """
    now = now or flags.now
    return tuple((_seconds(ours, now), _seconds(reference, now)) for _ in range(flags.pairs))


def report(comparisons: Sequence[Comparison], flags: BenchmarkFlags) -> None:
    """Print the results and the environment of the measurement; also write them to ``flags.out`` if it is given."""
    where = {"clock": flags.clock, **environment()}
    for comparison in comparisons:
        print("\n".join(comparison.lines()), flush=True)
    print("  " + ", ".join(f"{name} {value}" for name, value in where.items()), flush=True)
    if flags.out is not None:
        write_json(flags.out, {"environment": where, "results": [c.as_json() for c in comparisons]})


def environment() -> dict[str, Any]:
    """Return versions, threads, processor cores, the machine's load in the last minute, and the date."""
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
