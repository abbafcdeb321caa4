"""Cost of the images of a row: parameters trained for them, network calls and sampling time."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.flop_counter import FlopCounterMode

from experiments.core import build, costs
from experiments.core.provenance import stages_of
from experiments.protocols.protocol import AT_LEAST_0, Protocol
from experiments.protocols.samples import Samples
from experiments.runs import SampleRun, TrainRun
from lightning_mmdiff.errors import MissingFileError
from lightning_mmdiff.methods.mt_diffusion.network import MTNetwork
from lightning_mmdiff.metrics.results import Better, MetricResult
from lightning_mmdiff.networks.ldm import CrossAttentionUNet
from lightning_mmdiff.networks.unet import UNet
from lightning_mmdiff.runtime.run_folder import RunFolder

NUM_REPLICATES = 1000
"""Number of replicates, the same as for a mean. All are equal: these numbers do not depend on which images were made."""


def constant(
    name: str,
    value: Callable[[Samples], float],
    description: str,
    *,
    of_all_images: bool = False,
    better: Better = "lower",
) -> Protocol:
    """Return a protocol for a number without a spread.

    Args:
        name: name of the protocol.
        value: computes the number.
        description: description for the reader of a report.
        of_all_images: whether the number comes from every image of the run, or from one.
        better: neither for a setting, which only describes.
    """

    def measure(samples: Samples) -> MetricResult:
        number = value(samples)
        return MetricResult(
            protocol=name, value=number, n=samples.run.num_images if of_all_images else 1, better=better,
            replicates=np.full(NUM_REPLICATES, number), extra={"exact": True},
        )  # fmt: skip

    return Protocol(name=name, better=better, description=description, measure=measure, range=AT_LEAST_0)


def trained_parameters(models: Iterable[TrainRun]) -> int:
    """Count the trainable parameters of ``models``."""
    sizes = {model: costs.size(model) for model in models}
    if unknown := [model.name for model, size in sizes.items() if size is None]:
        raise MissingFileError(f"{', '.join(unknown)} cannot be counted without weights that are not on disk.")
    return sum(size.trained for size in sizes.values() if size is not None)


def million_parameters(samples: Samples, *, to_combine: bool) -> float:
    """Return the parameters trained for the run, in 1e6; with ``to_combine``, without those of experts used as they are."""
    method = samples.run.method
    models = method.trained_to_combine if to_combine else method.needs
    return trained_parameters(model for model in models if isinstance(model, TrainRun)) / 1e6


def milliseconds_per_image(samples: Samples) -> float:
    """Return the wall clock time of the sample stage divided by its number of images."""
    return 0.0 if samples.are_real else 1e3 * sampling_seconds(samples.folder) / samples.run.num_images


def sampling_seconds(folder: Path) -> float:
    """Return the wall clock seconds of the sample stage, summed over all its interruptions and processes."""
    path = RunFolder(folder).provenance
    stages = stages_of(path)
    if "sample" not in stages:
        raise MissingFileError(f"{path} has no record of how long sampling took.")
    return float(stages["sample"]["seconds"])


def one_image(samples: Samples) -> tuple[float, float]:
    """Return the network calls and 1e9 FLOPs of one sample; zero for real images."""
    if samples.are_real:
        return 0.0, 0.0
    return evaluations_per_image(samples.run, samples.folder.parent, samples.data.test.batch([0]))


def evaluations_per_image(run: SampleRun, runs: Path, batch: Mapping[str, Any]) -> tuple[int, float]:
    """Count the U-Net calls for sampling one image, dynamic diffusers included, and all its operations in 1e9 FLOPs.

    Args:
        run: sample run whose method samples.
        runs: folder of its trained models.
        batch: batch of one test image.
    """
    calls = 0

    def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal calls
        if isinstance(module, UNet | CrossAttentionUNet | MTNetwork):
            calls += len(inputs[0])

    module, counter = build.method(run, runs).to(build.DEVICE), FlopCounterMode(display=False)
    hook = register_module_forward_pre_hook(count)
    try:
        with counter:
            module.predict_step(batch)
    finally:
        hook.remove()
    return calls, counter.get_total_flops() / 1e9


PROTOCOLS = (
    constant(
        "MillionParameters", partial(million_parameters, to_combine=False),
        "Parameters trained for the row, counted on its networks, in millions; real images need none.",
        of_all_images=True,
    ),
    constant(
        "MillionParameters-Combination", partial(million_parameters, to_combine=True),
        "Parameters that are trained for this way to combine; most take the experts as they are.",
        of_all_images=True,
    ),
    constant(
        "MillisecondsPerImage", milliseconds_per_image,
        "Wall clock of sampling as recorded, loading the models included, over the images. Other work on the machine shows.",
        of_all_images=True,
    ),
    constant(
        "NetworkCalls", lambda samples: samples.once(one_image)[0],
        "Evaluations of a U-Net per image, dynamic diffusers included; counted while one image is sampled.",
    ),
    constant(
        "GigaFlops", lambda samples: samples.once(one_image)[1],
        "1e9 floating-point operations per image, all networks.",
    ),
)  # fmt: skip
