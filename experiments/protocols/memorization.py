"""Whether samples are copies of training images: nearest training images, against those of real images nobody trained on."""

from collections.abc import Callable

import numpy as np

from datamodules.batches.steps import DataSplit
from experiments.protocols.distances import CLEAN, LITE, on_features
from experiments.protocols.protocol import SHARE, Protocol
from experiments.protocols.samples import DEVICE, Features, Samples, in_batches
from lightning_mmdiff.metrics.memorization import Nearness, copies_result, distance_ratios, thumbnails
from lightning_mmdiff.metrics.results import MetricResult


def copies(name: str, features: Features, description: str, *, most: int | None = None) -> Protocol:
    """Return a protocol for the share of samples that are copies in pixels or in ``features``.

    Args:
        name: name of the protocol.
        features: features of samples, training images and test images.
        description: description for the reader of a report.
        most: number of training images that are compared in features; None compares all.
    """

    def measure(samples: Samples) -> MetricResult:
        total = len(samples.data.train)
        count = min(most or total, total)

        def ratios(found: np.ndarray) -> np.ndarray:
            return distance_ratios(found, samples.training(features, count), device=DEVICE)

        def pixel_ratios(found: np.ndarray) -> np.ndarray:
            return distance_ratios(found, training_pixels(samples), device=DEVICE)

        in_features = Nearness(
            samples=ratios(samples.features(features)),
            held_out=held_out(samples, f"{features.label}-{count}", lambda: ratios(samples.reference(features))),
        )
        in_pixels = Nearness(
            samples=pixel_ratios(thumbnails(samples.stored)),
            held_out=held_out(samples, "pixels", lambda: pixel_ratios(pixels(samples.data.test))),
        )
        against = f"{total} training images of {samples.run.data.dataset}, {count} of them in features"
        return copies_result(name, (in_features, in_pixels), reference=against)

    return on_features(name, "lower", features, description, measure, SHARE, least_real_images=2)


def held_out(samples: Samples, space: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the ratios of the test images, [M], computed once per data set and ``space``."""
    return samples.kept(f"{space}-held-out", space, lambda: {"ratios": compute()})["ratios"]


def training_pixels(samples: Samples) -> np.ndarray:
    """Return the thumbnails of all training images, uint8 [T, D], computed once per data set."""
    return samples.kept("pixels-train", "thumbnails", lambda: {"pixels": pixels(samples.data.train)})["pixels"]


def pixels(split: DataSplit) -> np.ndarray:
    """Return the thumbnails of all images of a split, uint8 [N, D]."""
    return np.concatenate([thumbnails(split.batch(indices)["image"]) for indices in in_batches(len(split))])


PROTOCOLS = (
    copies(
        "Copies-Inception", CLEAN,
        "Share of samples that stand out as near to one training image as .5 % of real test images do, in pixels (at most 32 px) "
        "or in Inception features: about .01 if nothing is copied (Carlini et al. 2023). The real images are training images.",
    ),
    copies(
        "Copies-EffNetLite0", LITE,
        "As Copies-Inception, in pixels or in EfficientNet-Lite0 features (of at most 10,000 training images).", most=10_000,
    ),
)  # fmt: skip
