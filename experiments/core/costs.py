"""The cost of a run: network evaluations, hours and GPU memory. Estimates for planning; none of them changes a result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch

from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import Profile
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Preparation
from lightning_mmdiff.models.diffusion import rows_per_call
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
MOMENT_BYTES = 8
"""Bytes per trained parameter of Adam's two moments."""
WEIGHT_BYTES = 4
"""Bytes of a weight, of its gradient, and of its average."""
ACTIVATION_BYTES = 65_000
"""Bytes kept for the backward pass per image pixel of a network that is no U-Net; U-Nets are traced."""
TOKENS = 77
"""Condition tokens of a network with cross-attention: those of the text, the longest."""


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
        return run.num_images * (draws * BACKWARD + run.method.calls(steps) + SCORING)
    calls, frozen = run.model.calls_per_step, run.model.frozen_calls
    return run.trainer.max_steps * run.batch_size * ((calls - frozen) * BACKWARD + frozen)


def calls(run: Run) -> int:
    """Return how often a run asks a diffusion network about one image, at most; preparations of edits are not counted."""
    if isinstance(run, TrainRun):
        diffuses = run.model.networks or run.model.frozen_calls
        return run.trainer.max_steps * run.batch_size * run.model.calls_per_step if diffuses else 0
    return run.num_images * run.method.calls(run.sampler.num_steps) if run.sampler else 0


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


def work(runs: Sequence[Run]) -> dict[Run, float]:
    """Return the cost of each run as ``in_order`` does, times how much slower a step of its model is than a denoiser's."""
    return {
        run: cost * (run.model.step_work if isinstance(run, TrainRun) else 1.0) for run, cost in in_order(runs).items()
    }


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


Model = TrainRun | Released


def models_of(run: Run) -> tuple[Model, ...]:
    """Return the models that a run holds in memory."""
    if isinstance(run, TrainRun):
        return (run, *run.needs)
    return tuple(source for source in run.method.needs if isinstance(source, TrainRun | Released))


@dataclass(frozen=True, kw_only=True)
class Size:
    """Parameter counts of a model."""

    trained: int
    frozen: int
    """Those of the helpers included."""
    side: int | None
    """Height and width of what is diffused; None for a model of another kind."""


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
    shape = getattr(module, "shape", None)
    return Size(trained=counts[True], frozen=counts[False], side=shape[-1] if shape else None)


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
    """Estimate the memory that a run needs on one GPU at its largest moment (``experiments/core/tracing.py``).

    Weights, gradients, moments and averages are counted, activations of U-Nets traced, those of frozen experts included;
    condition encoders' and autoencoders' are left out.

    Return None if a model's parameters cannot be counted.
    """
    counted = {model: size(model) for model in models_of(run)}
    sizes = {model: found for model, found in counted.items() if found is not None}
    if len(sizes) < len(counted):
        return None
    if isinstance(run, SampleRun):
        return _sampling_bytes(run, sizes) / 2**30
    own, images, mixed = sizes[run], run.rows, run.trainer.precision != "32-true"
    states = WEIGHT_BYTES + MOMENT_BYTES + (WEIGHT_BYTES if run.trainer.ema_decay is not None else 0)
    total: float = states * own.trained + WEIGHT_BYTES * own.frozen
    if own.side is None or not run.model.networks:
        total += WEIGHT_BYTES * own.trained + (0.6 if mixed else 1.0) * images * _pixels(run) * ACTIVATION_BYTES
    else:
        inside = sum(network_parameters(network) for network in run.model.networks)
        total += WEIGHT_BYTES * max(own.trained - inside, 0)  # gradients of encoders; a trace has those of its U-Net
        total += sum(_bytes(network, own.side, images, training=True, mixed=mixed) for network in run.model.networks)
        total += max((_call_bytes(expert, own.side, images, mixed=mixed) for expert in _experts(run)), default=0.0)
    return total / 2**30


def _bytes(network: NetworkConfig, side: int, rows: int, *, training: bool, mixed: bool) -> int:
    """Return the bytes of a call without the weights in 32-bit; arguments as of ``tracing.traced``."""
    from experiments.core.tracing import traced  # needs PyTorch, which lists and plans do not load

    return traced(network, side, rows, training=training, mixed=mixed, tokens=TOKENS).bytes


def _pixels(run: Run) -> int:
    return max((config.image_size for config in data_of(run)), default=0) ** 2


def _sampling_bytes(run: SampleRun, sizes: Mapping[Model, Size]) -> float:
    """Estimate the bytes of all models, and of the largest call of one of them."""
    weights = WEIGHT_BYTES * sum(found.trained + found.frozen for found in sizes.values())
    apart = sum(model.model.frozen_calls for model in sizes if not _experts(model))  # encodings, in calls of their own
    networks = max(1, sum(len(model.model.networks) + len(_experts(model)) for model in sizes))
    mixed, terms = run.precision != "32-true", max(1, -((apart - run.method.calls_per_step) // networks))  # upwards
    calls = [0.0]
    for model, found in sizes.items():
        if found.side is not None:
            rows = min(run.shard_size * terms, rows_per_call(found.side, found.side))
            calls += [_call_bytes(each, found.side, rows, mixed=mixed) for each in (model, *_experts(model))]
    return weights + max(calls) + _preparation_bytes(run.method)


def _call_bytes(model: Model, side: int, rows: int, *, mixed: bool) -> float:
    """Estimate the bytes of the largest call of a model without a backward pass."""
    found = (_bytes(n, side, rows, training=False, mixed=mixed) for n in model.model.networks)
    return max(found, default=0.0)


def _experts(model: Model) -> list[Model]:
    return [expert for expert in model.experts if isinstance(expert, TrainRun | Released)]


def _preparation_bytes(method: MethodConfig) -> float:
    """Estimate the bytes of what each image needs first: the largest of its networks in training, or all of them tuned."""
    if method.preparation is None:
        return 0.0
    states, training = 2 * WEIGHT_BYTES + MOMENT_BYTES, 0.0
    for model in method.preparation.models:
        assert isinstance(model, TrainRun | Released)
        counted, network = size(model), model.model.network_for(())
        side = counted.side or 0 if counted else 0
        count = method.preparation.batch_size
        kept = _bytes(network, side, count, training=True, mixed=False)
        training = max(training, states * network_parameters(network) + kept)
    return max(training, WEIGHT_BYTES * sum(tuned_parameters(model) for model in method.preparation.models))
