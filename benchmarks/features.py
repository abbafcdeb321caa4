"""Speed of the features for a metric: ``extract`` against one image at a time, and Inception-v3 with channels last or first.

python -m benchmarks.features
"""

from dataclasses import dataclass

import numpy as np
import timm
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from lightning_mmdiff.metrics.features import EffNetLite0, extract
from lightning_mmdiff.metrics.images import batch_size
from lightning_mmdiff.metrics.networks import AdmInception, FeatureNetwork
from lightning_mmdiff.runtime.commands import readable_end


@dataclass(frozen=True, kw_only=True)
class FeatureFlags(BenchmarkFlags):
    """Settings for the speed of features of random images."""

    images: int = 128
    """Number of images."""
    inception_images: int = 8
    """Number of images for Inception-v3, which is slower."""
    image_size: int = 32
    """Height and width in pixels (the network resizes to 224)."""


@torch.inference_mode()
def one_by_one(images: torch.Tensor, network: EffNetLite0) -> NDArray[np.float32]:
    """Return the features [N, D] of uint8 ``images`` [N, 3, H, W], with one call per image."""
    return np.concatenate([network(image[None]).numpy() for image in images])


class LastInception(AdmInception):
    """Inception-v3 of random weights, as its file need not be there, after ADM's resize."""

    def __init__(self) -> None:
        FeatureNetwork.__init__(self)
        torch.manual_seed(0)
        self.network = timm.create_model("inception_v3", pretrained=False).eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the pooled features [B, 2048] of uint8 ``images`` [B, 3, H, W]."""
        return self.network.forward_head(self.network.forward_features(self.preprocess(images)), pre_logits=True)


class FirstInception(LastInception):
    """The same with channels first."""

    def resize(self, images: Tensor) -> Tensor:
        """Resize as ADM does, then put the channels first."""
        return super().resize(images).contiguous()


def measure_layouts(flags: FeatureFlags) -> Comparison:
    """Time both layouts on the same images."""
    shape = (flags.inception_images, 3, flags.image_size, flags.image_size)
    images = torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    last, first = LastInception(), FirstInception()
    ours = Side(run=lambda: extract([images], last), units=flags.inception_images)
    reference = Side(run=lambda: extract([images], first), units=flags.inception_images)
    features = reference.run()
    difference = np.abs(ours.run() - features).max() / np.abs(features).max()
    return Comparison(
        title="Inception-v3 after ADM's resize: channels last against channels first",
        ours="channels last",
        reference="channels first",
        unit="image",
        seconds=in_turn(ours, reference, flags),
        settings={
            "network": "Inception-v3, random weights",
            "images": flags.inception_images,
            "pixels": flags.image_size,
        },
        notes=(f"largest difference of a feature, over the largest feature: {difference:.2g}",),
    )


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
    report([measure(flags), measure_layouts(flags)], flags)


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(FeatureFlags, description=__doc__))
