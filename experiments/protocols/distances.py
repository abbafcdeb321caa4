"""Distances between all samples and all real test images in the features of a network, and the inception score."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from experiments.protocols.protocol import AT_LEAST_0, Protocol, comparable
from experiments.protocols.references import Reference, ReferenceOf, adm_images, by_adm, our_images
from experiments.protocols.samples import Features, Samples
from experiments.spec import UNBOUNDED, Range
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.frechet_infinity import LEAST_IMAGES, infinity_result, ratio_result
from lightning_mmdiff.metrics.inception_score import inception_score_result
from lightning_mmdiff.metrics.kid import unit_length
from lightning_mmdiff.metrics.networks import AdmInception, EffNetLite0, FeatureNetwork, Inception
from lightning_mmdiff.metrics.results import Better, MetricResult, frechet_result, kernel_result
from lightning_mmdiff.runtime.run_folder import RULES

CLEAN = Features(network=Inception, output="pool")
ADM = Features(network=AdmInception, output="pool")
LITE = Features(network=EffNetLite0, output="pool")
WEIGHTS: dict[type[FeatureNetwork], tuple[str, ...]] = {
    Inception: ("inception",), AdmInception: ("inception",), EffNetLite0: ()
}  # fmt: skip
"""Published weight file of each network; those of EfficientNet-Lite0 come in a Python package."""
BIAS = " Biased: it measures the expected distance of as many samples, so it compares rows of equal n alone."
"""Sentence in the description of every Frechet distance of n images."""


def frechet(
    name: str, features: Features, description: str, *, first: int | None = None, reference: ReferenceOf = our_images
) -> Protocol:
    """Return a protocol for the Frechet distance between Gaussians fitted to ``features``.

    Args:
        name: name of the protocol.
        features: features of samples and real images.
        description: description for the reader of a report.
        first: number of samples to use, in order; None uses all.
        reference: the real images.
    """

    def measure(samples: Samples) -> MetricResult:
        there = len(samples.features(features))
        if first and there < first:
            raise UserError(f"{name} needs {first} images, got {there}.")
        return first_distance(name, samples, features, reference(samples, features), first)

    return on_features(
        name, "lower", features, description + BIAS, measure, AT_LEAST_0, least_images=first or 1, least_real_images=2
    )


def frechet_at_any_n(
    name: str, features: Features, description: str, *, reference: ReferenceOf = our_images
) -> tuple[Protocol, Protocol, Protocol]:
    """Return ``frechet``, and what it says at any number of samples: extrapolated, and over the distance of real images.

    Args:
        name: name of the first; the others have "-Infinity" and "-Ratio" behind it.
        features: as in ``frechet``.
        description: description of the first.
        reference: as in ``frechet``.
    """
    plain = frechet(name, features, description, reference=reference)
    at_n = replace(plain, measure=lambda samples: samples.once(plain.measure))

    def infinity(samples: Samples) -> MetricResult:
        real = reference(samples, features)
        found = samples.features(features), real.gaussian()
        return infinity_result(f"{name}-Infinity", *found, at_n.measure(samples), **real.facts)

    def ratio(samples: Samples) -> MetricResult:
        real = reference(samples, features)
        count = min(len(samples.data.train), samples.run.num_images)
        enough = count == samples.run.num_images
        found = at_n.measure(samples) if enough else first_distance(name, samples, features, real, count)
        return ratio_result(f"{name}-Ratio", found, real_distance(samples, features, real, count), **real.facts)

    extrapolated = on_features(
        f"{name}-Infinity", "lower", features,
        f"{name} extrapolated to infinitely many samples (Chong and Forsyth 2020): the line in 1/n through all and half of them.",
        infinity, least_images=LEAST_IMAGES, least_real_images=2,
    )  # fmt: skip
    over_real = on_features(
        f"{name}-Ratio", "lower", features,
        f"{name} over that of as many training images: 1 is a perfect model, at any n.", ratio, AT_LEAST_0,
        least_real_images=2,
    )  # fmt: skip
    return at_n, extrapolated, over_real


def first_distance(
    name: str, samples: Samples, features: Features, reference: Reference, first: int | None
) -> MetricResult:
    """Return the Frechet distance of the first samples.

    Args:
        name: name of the result.
        samples: the samples.
        features: features of both sets of images.
        reference: the real images.
        first: number of samples to use, in order; None uses all.
    """
    return frechet_result(name, samples.features(features)[:first], reference.gaussian(), **reference.facts)


def real_distance(samples: Samples, features: Features, reference: Reference, first: int) -> MetricResult:
    """Return the Frechet distance of the first training images, those of the row of real images, computed once.

    Args:
        samples: samples of the same data set.
        features: features of both sets of images.
        reference: the real images that they are compared with.
        first: number of training images to use.
    """

    def compute() -> dict[str, np.ndarray]:
        found = frechet_result("real", samples.training(features, first), reference.gaussian(), seed=1)
        return {"value": np.array(found.value), "replicates": found.replicates}

    key = f"{first} against {reference.facts['reference']}, rules {RULES}"
    kept = samples.kept(f"{features.label}-frechet-{first}", key, compute)
    return MetricResult(
        protocol="real", value=float(kept["value"]), n=first, better="lower", replicates=kept["replicates"]
    )


def kernel(name: str, features: Features, description: str, *, scaled: bool) -> Protocol:
    """Return a protocol for the cubic-kernel distance of ``features``.

    Args:
        name: name of the protocol.
        features: features of samples and real test images.
        description: description for the reader of a report.
        scaled: whether features are first scaled to unit length.
    """

    def measure(samples: Samples) -> MetricResult:
        found, reference = samples.features(features), samples.reference(features)
        if scaled:
            found, reference = unit_length(found), unit_length(reference)
        return kernel_result(name, found, reference, reference=samples.against)

    return on_features(name, "lower", features, description, measure, least_real_images=2)


def inception_score(name: str, features: Features, description: str) -> Protocol:
    """Return a protocol for the Inception score; ``features`` are the logits of its classes."""

    def measure(samples: Samples) -> MetricResult:
        return inception_score_result(name, samples.features(features))

    return on_features(name, "higher", features, description, measure, (1.0, None))


def on_features(
    name: str, better: Better, features: Features, description: str, measure: Callable[[Samples], MetricResult],
    range: Range = UNBOUNDED, *, least_images: int = 1, least_real_images: int = 1,
) -> Protocol:  # fmt: skip
    """Return a protocol that needs ``features`` of every sample.

    Args:
        name: name of the protocol.
        better: whether lower or higher is better.
        features: features of the samples.
        description: description for the reader of a report.
        measure: measurement of the samples.
        range: smallest and largest value.
        least_images: number of samples below which it is not measured.
        least_real_images: number of real test images below which it cannot be computed.
    """
    return Protocol(
        name=name, better=better, description=description, measure=measure, features=features,
        weights=WEIGHTS[features.network], range=range,
        least_images=least_images, least_real_images=least_real_images,
    )  # fmt: skip


FID, *FID_AT_ANY_N = frechet_at_any_n(
    "FID", CLEAN, "Frechet distance on Inception-v3 (clean-fid, mode clean) to the real test images."
)
FID_ADM, *FID_ADM_AT_ANY_N = frechet_at_any_n(
    "FID-ADM", ADM, "Frechet distance on Inception-v3 as ADM's evaluator resizes, to ADM's training set or our test images.",
    reference=adm_images,
)  # fmt: skip
PROTOCOLS = (
    comparable(FID, "taken as clean-fid's: the paper names no tool, and tools differ by more than 1"),
    *FID_AT_ANY_N,
    comparable(
        frechet("FID-50", CLEAN, "As FID, of the first 50 samples alone.", first=50),
        "50 images, as the authors say; they name neither tool nor images",
    ),
    by_adm(FID_ADM),
    *FID_ADM_AT_ANY_N,
    by_adm(
        frechet(
            "sFID-ADM", Features(network=AdmInception, output="spatial"),
            "Frechet distance on 7 channels of Inception's 17 x 17 map, to ADM's training set or our test images.",
            reference=adm_images,
        )
    ),
    *frechet_at_any_n(
        "FD-EffNetLite0", LITE,
        "Frechet distance on 1280 EfficientNet-Lite0 features (224 px) to the real test images. Not an FID.",
    ),
    frechet("FD-EffNetLite0-50", LITE, "As FD-EffNetLite0, of the first 50 samples alone.", first=50),
    frechet("FD-EffNetLite0-4", LITE, "As FD-EffNetLite0, of the first 4 samples alone.", first=4),
    frechet(
        "sFD-EffNetLite0", Features(network=EffNetLite0, output="spatial"),
        "Frechet distance on 7 channels of a 14 x 14 map of EfficientNet-Lite0. Not an sFID.",
    ),
    kernel("KID", CLEAN, "Cubic-kernel distance, unbiased, on the same features as FID.", scaled=False),
    kernel(
        "KID-EffNetLite0", LITE,
        "Cubic-kernel distance, unbiased, on the same features as FD-EffNetLite0 at unit length. Not a KID.", scaled=True,
    ),
    comparable(
        inception_score(
            "IS-ADM", Features(network=AdmInception, output="logits"),
            "Inception score, Inception-v3 of 2015-12-05 without the bias of its logits, chunks of 5000 images.",
        ),
        "as ADM's evaluator defines it; it needs no reference",
    ),
    inception_score(
        "IS-EffNetLite0", Features(network=EffNetLite0, output="logits"),
        "Inception score on the 1000 classes of EfficientNet-Lite0. Not an IS.",
    ),
)  # fmt: skip
