"""Speed of the features for a metric: ``extract`` against one image at a time.

python -m benchmarks.features
"""

from dataclasses import dataclass

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from lightning_mmdiff.metrics.features import EffNetLite0, extract
from lightning_mmdiff.metrics.images import batch_size


@dataclass(frozen=True, kw_only=True)
class FeatureFlags(BenchmarkFlags):
    """Settings for the speed of features of random images."""

    images: int = 128
    """Number of images."""
    image_size: int = 32
    """Height and width in pixels (the network resizes to 224)."""


@torch.inference_mode()
def one_by_one(images: torch.Tensor, network: EffNetLite0) -> NDArray[np.float32]:
    """Return the features [N, D] of uint8 ``images`` [N, 3, H, W], with one call per image."""
    return np.concatenate([network(image[None]).numpy() for image in images])


def measure(flags: FeatureFlags) -> Comparison:
    """Time both ways on the same images."""
    generator = torch.Generator().manual_seed(0)
    shape = (flags.images, 3, flags.image_size, flags.image_size)
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    network = EffNetLite0()
    ours = Side(run=lambda: extract([images], network), units=flags.images)
    reference = Side(run=lambda: one_by_one(images, network), units=flags.images)
    difference = np.abs(ours.run() - reference.run()).max()  # also warms both up
    return Comparison(
        title="Features for a metric: batches against one image at a time",
        ours="extract",
        reference="batch size 1",
        unit="image",
        seconds=in_turn(ours, reference, flags),
        settings={
            "network": network.name, "images": flags.images, "pixels": flags.image_size, "batch": batch_size("cpu"),
        },
        notes=(f"largest difference of a feature: {difference:.2g}",),
    )  # fmt: skip


def main(flags: FeatureFlags) -> None:
    torch.set_num_threads(flags.threads)
    report([measure(flags)], flags)


if __name__ == "__main__":
    main(tyro.cli(FeatureFlags, description=__doc__))
