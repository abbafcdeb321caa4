"""Timing on one GPU within a budget: ways in turn, with the peak of each, in several precisions."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class GpuFlags:
    """Settings of the measurement."""

    device: str = "cuda"
    tiny: bool = False
    """Small networks and batches: a check that everything runs."""
    budget: float = 480.0
    """Seconds in all."""
    ref: Path | None = None
    """Folder that holds a clone of guided-diffusion."""
    data: Path | None = None
    """Folder that holds cifar10/ (README, "Real data"); a training on it takes the time that is left."""
    compile: bool = True
    """Whether to measure compiled networks too, which takes minutes."""
    out: Path | None = None
    """JSON file to which the results are also written."""


class Measurement:
    """Timings on one device, until the budget is spent."""

    def __init__(self, flags: GpuFlags) -> None:
        self.flags, self.start, self.results = flags, time.monotonic(), list[dict[str, Any]]()
        self.cuda = flags.device.startswith("cuda")

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.flags.budget - (time.monotonic() - self.start)

    def seconds(self, run: Callable[[], Any]) -> float:
        """Return the seconds of a call until the device has done its work."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize()

    def in_turn(
        self, part: str, ways: Mapping[str, Callable[[], Any]], *, units: int, flops: float, pairs: int = 5
    ) -> None:
        """Time the ways in turn and print a line for each.

        Args:
            part: what is done.
            ways: name -> call.
            units: images of a call.
            flops: floating-point operations of an image.
            pairs: number of timings.
        """
        peaks: dict[str, float] = {}
        for name, run in list(ways.items()):
            run()
            if self.cuda:
                torch.cuda.reset_peak_memory_stats()
            run()
            self.wait()
            peaks[name] = torch.cuda.max_memory_allocated() / 2**30 if self.cuda else 0.0
        times = {name: [] for name in ways}  # type: dict[str, list[float]]
        for _ in range(pairs):
            for name, run in ways.items():
                times[name].append(self.seconds(run))
        first = next(iter(ways))
        print(part, flush=True)
        for name, found in times.items():
            ratios = [a / b for a, b in zip(times[first], found)]
            middle = statistics.median(found)
            print(
                f"  {name:34} {1e3 * middle / units:9.3f} ms an image, x{statistics.median(ratios):.2f} ({min(ratios):.2f} .. "
                f"{max(ratios):.2f}), {units * flops / middle / 1e12:7.2f} TFLOP/s, peak {peaks[name]:.2f} GiB", flush=True,
            )  # fmt: skip
            self.results.append({"part": part, "way": name, "seconds": found, "units": units, "peak_gib": peaks[name]})


@contextmanager
def running(device: str, way: str) -> Iterator[None]:
    """Run the block in "fp32", "tf32" or "bf16"."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if way == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = way != "fp32"
    bf16 = torch.autocast(device.split(":")[0], torch.bfloat16) if way == "bf16" else nullcontext()
    try:
        with bf16:
            yield
    finally:
        torch.set_float32_matmul_precision(before)
