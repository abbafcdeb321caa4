"""What the images of a row cost: parameters trained for them, and the time that sampling them took on this machine.

"MillionParameters": trainable parameters of the distinct models that the row asks, counted on the networks.
"MillionParameters-Combination": the same, but none for an average of experts that exist already.
"MillisecondsPerImage": wall clock of the sample stage as it was recorded (models loaded, shards written), over the images.
"NetworkCalls", "GigaFlops": what sampling one image takes, counted while it is sampled.
Real images cost neither.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.flop_counter import FlopCounterMode

from experiments.core import build, costs
from experiments.spec import SampleRun
from lightning_mmdiff.errors import MissingFileError
from lightning_mmdiff.methods.mt_diffusion.network import MTNetwork
from lightning_mmdiff.metrics.results import MetricResult
from lightning_mmdiff.networks.ldm import CrossAttentionUNet
from lightning_mmdiff.networks.unet import UNet

NUM_REPLICATES = 1000
"""As of a mean. All are equal: neither number depends on which images were made."""


def cost_result(protocol: str, run: SampleRun, folder: Path) -> MetricResult:
    """Measure "MillionParameters" or "MillisecondsPerImage" of the run in ``folder``.

    Raises:
        MissingFileError: if the number is not known on this machine, saying why.
    """
    if run.method.is_real:
        value = 0.0
    elif protocol.startswith("MillionParameters"):
        given = protocol.endswith("-Combination") and len(run.method.uses) > 1
        value = 0.0 if given else trained_parameters(run) / 1e6
    else:
        value = 1e3 * sampling_seconds(folder) / run.num_images
    return MetricResult(
        protocol=protocol, value=value, n=run.num_images, better="lower", replicates=np.full(NUM_REPLICATES, value)
    )


def trained_parameters(run: SampleRun) -> int:
    """Trainable parameters of the models that ``run`` asks, each model once."""
    models = run.needs
    sizes = {model: costs.size(model) for model in models}
    if unknown := [model.name for model, size in sizes.items() if size is None]:
        raise MissingFileError(f"{', '.join(unknown)} cannot be counted without weights that are not on disk.")
    return sum(size.trained for size in sizes.values() if size is not None)


def sampling_seconds(folder: Path) -> float:
    """Wall clock of the sample stage, all its interruptions and processes together."""
    path = folder / "provenance.json"
    stages = json.loads(path.read_text())["stage"] if path.exists() else {}
    if "sample" not in stages:
        raise MissingFileError(f"{path} has no record of how long sampling took.")
    return float(stages["sample"]["seconds"])


def evaluations_per_image(run: SampleRun, runs: Path, batch: Mapping[str, Any]) -> tuple[int, float]:
    """Calls of a U-Net that sampling one image takes, dynamic diffusers included, and all operations of it in 1e9 FLOPs.

    Args:
        run: of a method that samples.
        runs: folder of its trained models.
        batch: of one test image.
    """
    calls = 0

    def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal calls
        if isinstance(module, UNet | CrossAttentionUNet | MTNetwork):
            calls += len(inputs[0])

    module, counter = build.method(run, runs), FlopCounterMode(display=False)
    hook = register_module_forward_pre_hook(count)
    try:
        with counter:
            module.predict_step(batch)
    finally:
        hook.remove()
    return calls, counter.get_total_flops() / 1e9
