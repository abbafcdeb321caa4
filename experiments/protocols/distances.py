"""Distances between all samples and all real test images in the features of a network, and related scores."""

from collections.abc import Callable

from experiments.protocols.protocol import AT_LEAST_0, SHARE, Protocol, TooFewSamplesError, one_of
from experiments.protocols.samples import DEVICE, Features, Samples
from experiments.spec import UNBOUNDED, Range
from lightning_mmdiff.metrics.frechet import fit_gaussian
from lightning_mmdiff.metrics.inception_score import inception_score_result
from lightning_mmdiff.metrics.kid import unit_length
from lightning_mmdiff.metrics.networks import AdmInception, EffNetLite0, Inception
from lightning_mmdiff.metrics.precision_recall import NEIGHBORS, precision_recall_results
from lightning_mmdiff.metrics.results import Better, MetricResult, frechet_result, kernel_result

CLEAN = Features(network=Inception, output="pool")
ADM = Features(network=AdmInception, output="pool")
LITE = Features(network=EffNetLite0, output="pool")
WEIGHTS: dict[type, tuple[str, ...]] = {Inception: ("inception",), AdmInception: ("inception",), EffNetLite0: ()}
"""Published weight file of each network; those of EfficientNet-Lite0 come in a Python package."""


def frechet(name: str, features: Features, description: str, *, first: int | None = None) -> Protocol:
    """Return a protocol for the Frechet distance between Gaussians fitted to ``features``.

    Args:
        name: name of the protocol.
        features: features of samples and real test images.
        description: description for the reader of a report.
        first: number of samples to use, in order; None uses all.
    """

    def measure(samples: Samples) -> MetricResult:
        reference, found = fit_gaussian(samples.reference(features)), samples.features(features)
        if first and len(found) < first:
            raise TooFewSamplesError(f"{name} is measured on the first {first} samples, and there are {len(found)}.")
        return frechet_result(name, found[:first], reference, reference=samples.against)

    return _on_features(name, "lower", features, description, measure, AT_LEAST_0, least=2)


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

    return _on_features(name, "lower", features, description, measure, least=2)


def inception_score(name: str, features: Features, description: str) -> Protocol:
    """Return a protocol for the Inception score; ``features`` are the logits of its classes."""

    def measure(samples: Samples) -> MetricResult:
        return inception_score_result(name, samples.features(features))

    return _on_features(name, "higher", features, description, measure, (1.0, None))


def precision_and_recall(
    names: tuple[str, str], features: Features, descriptions: tuple[str, str]
) -> tuple[Protocol, Protocol]:
    """Return two protocols that share one comparison of all ``features`` with those of the real test images."""

    def both(samples: Samples) -> tuple[MetricResult, MetricResult]:
        found, reference = samples.features(features), samples.reference(features)
        return precision_recall_results(names, found, reference, device=DEVICE, reference=samples.against)

    precision, recall = (
        _on_features(name, "higher", features, description, one_of(both, i), SHARE, least=NEIGHBORS + 1)
        for i, (name, description) in enumerate(zip(names, descriptions))
    )
    return precision, recall


def _on_features(
    name: str,
    better: Better,
    features: Features,
    description: str,
    measure: Callable[[Samples], MetricResult],
    range: Range = UNBOUNDED,
    *,
    least: int = 1,
) -> Protocol:
    return Protocol(
        name=name, better=better, description=description, measure=measure, features=features,
        weights=WEIGHTS[features.network], range=range, least=least,
    )  # fmt: skip


PROTOCOLS = (
    frechet("FID", CLEAN, "Frechet distance on Inception-v3 (clean-fid, mode clean) to the real test images."),
    frechet("FID-50", CLEAN, "As FID, of the first 50 samples alone.", first=50),
    frechet("FID-ADM", ADM, "Frechet distance on Inception-v3 as ADM's evaluator resizes, to the real test images."),
    frechet(
        "sFID-ADM", Features(network=AdmInception, output="spatial"),
        "Frechet distance on 7 channels of Inception's 17 x 17 map, to the real test images.",
    ),
    frechet(
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
    inception_score(
        "IS-ADM", Features(network=AdmInception, output="logits"),
        "Inception score, Inception-v3 of 2015-12-05 without the bias of its logits, chunks of 5000 images.",
    ),
    inception_score(
        "IS-EffNetLite0", Features(network=EffNetLite0, output="logits"),
        "Inception score on the 1000 classes of EfficientNet-Lite0. Not an IS.",
    ),
    *precision_and_recall(
        ("Precision", "Recall"), ADM,
        (
            "Share of samples inside the 3-nearest-neighbor balls of real test images, Inception features.",
            "Share of real test images inside the balls of the samples, Inception features.",
        ),
    ),
    *precision_and_recall(
        ("Precision-EffNetLite0", "Recall-EffNetLite0"), LITE,
        ("As Precision, on EfficientNet-Lite0 features.", "As Recall, on EfficientNet-Lite0 features."),
    ),
)  # fmt: skip
