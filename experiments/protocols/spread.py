"""How much the samples of one condition differ: a second sample for each of a run's first conditions, compared with its first."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.core import build
from experiments.protocols.protocol import AT_LEAST_0, image_mean
from experiments.protocols.samples import DEVICE, Samples, in_batches
from lightning_mmdiff.metrics import lpips

Distance = Callable[[Tensor, Tensor], NDArray[np.float64]]
"""Function of two sets of images, uint8 [N, 3, H, W] each, to the distance of each pair, [N]."""
NUM_IMAGES = 16
"""Number of conditions that are sampled again; every one costs as much as an image of the row."""


def again(samples: Samples) -> Tensor:
    """Sample the run's first conditions again, with the noise of images that it does not have; uint8 [N, 3, H, W]."""
    run, data = samples.run, samples.data.test
    module = build.method(run, samples.folder.parent)
    parts = []
    for numbers in in_batches(min(NUM_IMAGES, run.num_images), 16):
        batch = data.batch([i % len(data) for i in numbers])
        batch["index"] = batch["index"].new_tensor([run.num_images + i for i in numbers])
        parts.append(module.predict_step(batch))
    return torch.cat(parts)


def distances(samples: Samples, distance: Distance) -> NDArray[np.float64]:
    """Return the distance between two samples of each condition, [N]; 0 for real images, which have one each."""
    if samples.are_real:
        return np.zeros(min(NUM_IMAGES, samples.run.num_images))
    second = samples.once(again)
    return distance(samples.images[: len(second)], second)


DESCRIPTION = (
    f"between two samples of one condition with different noise, mean over the first {NUM_IMAGES}. 0: always the same."
)
PROTOCOLS = (
    image_mean(
        "Spread-LPIPS", lambda samples: distances(samples, lpips.LPIPS(device=DEVICE)), better="higher", range=AT_LEAST_0,
        weights=("alexnet",), description=f"LPIPS (AlexNet, v0.1) {DESCRIPTION}",
    ),
    image_mean(
        "Spread-EffNetLite0", lambda samples: distances(samples, lpips.PerceptualDistance(device=DEVICE)), better="higher",
        range=AT_LEAST_0, description=f"Perceptual distance on EfficientNet-Lite0 stages (112 px) {DESCRIPTION}",
    ),
)  # fmt: skip
