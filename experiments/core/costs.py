"""The cost of a run: network evaluations, hours and GPU memory. Estimates for planning; none of them changes a result."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import Profile
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Preparation
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.source import ModelSource

CPU_SECONDS: dict[Profile, float | None] = {"smoke": 0.01, "mini": 0.001, "paper": None, "released": None}
"""Seconds per network evaluation of one image on two CPU cores, measured (mini: 10 steps of 32 images per second).
None: the profile runs on GPUs."""
GPU_SECONDS = {32: 0.0005, 64: 0.001, 128: 0.003, 256: 0.01, 512: 0.04}
"""The same on one A100, by image size in pixels. Estimated from the sizes of the networks, never measured."""
MARGIN = 1.5
"""Ratio of requested to estimated hours. Requesting too few only sends a job through the queue once more."""
BACKWARD = 3.5
"""Cost of one training image in network evaluations."""
SCORING = 20.0
"""Cost of scoring one image in network evaluations, all metrics together."""
STATE_BYTES = 20
"""Bytes per trained parameter: weight, gradient, two moments of Adam, average."""
ACTIVATION_BYTES = 65_000
"""Bytes kept for the backward pass per image pixel; measured on the 311M network at 64 pixels, 32-bit."""


def evaluations(run: Run, *, prepared: bool = False) -> float:
    """Return the cost of a run in network evaluations of one image.

    Args:
        run: of a combination of models, the networks of all count.
        prepared: whether the trainings that its images need are done, by another run that shares them.
    """
    if isinstance(run, SampleRun):
        if not data_of(run):
            return 1.0
        preparation = None if prepared else run.method.preparation
        draws = preparation.draws if preparation else 0
        steps = run.sampler.num_steps if run.sampler else 1
        return run.num_images * (draws * BACKWARD + steps * run.method.calls_per_step + SCORING)
    calls, frozen = run.model.calls_per_step, run.model.frozen_calls
    return run.trainer.max_steps * run.batch_size * ((calls - frozen) * BACKWARD + frozen)


def in_order(runs: Sequence[Run]) -> dict[Run, float]:
    """Return the ``evaluations`` of each run if they are done one after the other: a shared preparation counts once."""
    found: dict[Run, float] = {}
    done: set[Preparation] = set()
    for run in runs:
        preparation = run.method.preparation if isinstance(run, SampleRun) else None
        found[run] = evaluations(run, prepared=preparation in done)
        if preparation is not None:
            done.add(preparation)
    return found


def hours(run: Run, profile: Profile, *, speed: float = 1.0, cost: float | None = None) -> float:
    """Return the hours to request on the devices that the run names.

    Args:
        run: includes its number of devices and nodes.
        profile: runs on GPUs or on CPU cores (``CPU_SECONDS``).
        speed: speed of one GPU relative to an A100.
        cost: cost of the run in network evaluations; None is its ``evaluations``.
    """
    seconds = CPU_SECONDS[profile]
    if seconds is None:
        pixels = max((config.image_size for config in data_of(run)), default=0)
        size = min((s for s in GPU_SECONDS if s >= pixels), default=max(GPU_SECONDS))
        seconds = GPU_SECONDS[size] / speed
    cost = evaluations(run) if cost is None else cost
    return MARGIN * cost * seconds / processes(run) / 3600


def on_gpus(profile: Profile) -> bool:
    """Return whether a profile needs GPUs."""
    return CPU_SECONDS[profile] is None


def processes(run: Run) -> int:
    """Return the number of processes that train together."""
    return run.trainer.devices * run.trainer.num_nodes if isinstance(run, TrainRun) else 1


def data_of(run: Run) -> tuple:
    """Return the data sets of a run; a run that only reads a configuration has none."""
    if isinstance(run, TrainRun):
        return run.data
    return (run.data,) if run.method.reads_data else ()


def models_of(run: Run) -> tuple[TrainRun | Released, ...]:
    """Return the models that a run holds in memory."""
    if isinstance(run, TrainRun):
        return (run, *run.needs)
    return tuple(source for source in run.method.needs if isinstance(source, TrainRun | Released))


@dataclass(frozen=True, kw_only=True)
class Size:
    """Parameter counts of a model."""

    trained: int
    frozen: int


@cache
def size(source: TrainRun | Released) -> Size | None:
    """Return the parameter counts of a model, without allocating the parameters; those of released experts count with it.

    Return None if that takes weights that are not on disk.
    """
    from experiments.core import build  # imports every method

    try:
        with torch.device("meta"):
            module = build.model(source, None) if isinstance(source, TrainRun) else source.entry.architecture()
    except UserError:
        return None
    if module is None:
        return None
    counts = {True: 0, False: 0}
    for parameter in module.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return Size(trained=counts[True], frozen=counts[False])


@cache
def network_parameters(network: NetworkConfig) -> int:
    """Count the parameters of a U-Net alone."""
    with torch.device("meta"):
        module = network.build()
    return sum(p.numel() for p in module.parameters())


def tuned_parameters(source: ModelSource) -> int:
    """Count the parameters of the network that is tuned for an image: the U-Net of a trained model."""
    assert isinstance(source, TrainRun | Released)
    return network_parameters(source.model.network_for(()))


def gpu_memory_gib(run: Run) -> float | None:
    """Estimate the memory that a run needs on one GPU: trained parameters with optimizer and activations, and frozen ones.

    Return None if a model's parameters cannot be counted.
    """
    counted = {model: size(model) for model in models_of(run)}
    sizes = {model: found for model, found in counted.items() if found is not None}
    if len(sizes) < len(counted):
        return None
    pixels = max((config.image_size for config in data_of(run)), default=0) ** 2
    frozen = sum(found.trained + found.frozen for model, found in sizes.items() if model != run)
    if isinstance(run, SampleRun):
        per_pixel = ACTIVATION_BYTES / 20  # nothing is kept for a backward pass
        return (4 * frozen + run.shard_size * pixels * per_pixel + _preparation_bytes(run.method, pixels)) / 2**30
    half = 0.6 if run.trainer.precision != "32-true" else 1.0
    own = sizes[run]
    images = -(-run.batch_size // processes(run))
    total = STATE_BYTES * own.trained + 4 * (own.frozen + frozen) + half * images * pixels * ACTIVATION_BYTES
    return total / 2**30


def _preparation_bytes(method: MethodConfig, pixels: int) -> float:
    """Estimate the bytes of what each image needs first: the largest of its networks in training, or all of them tuned."""
    if method.preparation is None:
        return 0.0
    sizes = [tuned_parameters(model) for model in method.preparation.models]
    training = STATE_BYTES * max(sizes) + method.preparation.batch_size * pixels * ACTIVATION_BYTES
    return max(training, 4 * sum(sizes))
