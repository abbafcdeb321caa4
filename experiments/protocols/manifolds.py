"""How the neighborhoods of samples and real images overlap in the features of a network: precision, recall, coverage."""

from experiments.protocols.distances import ADM, LITE, on_features
from experiments.protocols.protocol import SHARE, Protocol, one_of
from experiments.protocols.references import ReferenceOf, adm_images, by_adm, our_images
from experiments.protocols.samples import DEVICE, Features, Samples
from lightning_mmdiff.metrics.coverage import NEIGHBORS as COVERAGE_NEIGHBORS
from lightning_mmdiff.metrics.coverage import coverage_result
from lightning_mmdiff.metrics.precision_recall import NEIGHBORS, precision_recall_results
from lightning_mmdiff.metrics.results import MetricResult


def precision_and_recall(
    names: tuple[str, str], features: Features, descriptions: tuple[str, str], *, reference: ReferenceOf = our_images
) -> tuple[Protocol, Protocol]:
    """Return two protocols that share one comparison of all ``features`` with those of the real images.

    Args:
        names: names of the protocols.
        features: features of samples and real images.
        descriptions: descriptions for the reader of a report.
        reference: the real images.
    """

    def both(samples: Samples) -> tuple[MetricResult, MetricResult]:
        real = reference(samples, features)
        found = samples.features(features), real.features()
        return precision_recall_results(names, *found, device=DEVICE, **real.facts)

    precision, recall = (
        on_features(name, "higher", features, description, one_of(both, i), SHARE, least_real_images=NEIGHBORS + 1)
        for i, (name, description) in enumerate(zip(names, descriptions))
    )
    return precision, recall


def coverage(name: str, features: Features, description: str, *, reference: ReferenceOf = our_images) -> Protocol:
    """Return a protocol for the share of real images that have a sample near by.

    Args:
        name: name of the protocol.
        features: features of samples and real images.
        description: description for the reader of a report.
        reference: the real images.
    """

    def measure(samples: Samples) -> MetricResult:
        real = reference(samples, features)
        return coverage_result(name, samples.features(features), real.features(), device=DEVICE, **real.facts)

    return on_features(
        name, "higher", features, description, measure, SHARE, least_images=2, least_real_images=COVERAGE_NEIGHBORS + 1
    )


PROTOCOLS = (
    *(
        by_adm(protocol)
        for protocol in precision_and_recall(
            ("Precision", "Recall"), ADM,
            (
                "Share of samples inside the 3-nearest-neighbor balls of real images, ADM's 10,000 or our test images, Inception "
                "features.",
                "Share of those real images inside the balls of the samples, Inception features.",
            ),
            reference=adm_images,
        )
    ),
    *precision_and_recall(
        ("Precision-EffNetLite0", "Recall-EffNetLite0"), LITE,
        (
            "Share of samples inside the 3-nearest-neighbor balls of real test images, EfficientNet-Lite0 features.",
            "Share of real test images inside the balls of the samples, EfficientNet-Lite0 features.",
        ),
    ),
    coverage(
        "Coverage", ADM,
        "Share of the real images of Precision with a sample inside their 5-nearest-neighbor ball (Naeem et al. 2020). It grows "
        "with n: it compares rows of equal n alone.",
        reference=adm_images,
    ),
    coverage("Coverage-EffNetLite0", LITE, "As Coverage, of real test images on EfficientNet-Lite0 features."),
)  # fmt: skip
