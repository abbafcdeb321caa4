"""Whether faces match their text, by an attribute evaluator or CLIP, and whether an edited face is still the same person."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from experiments.protocols.protocol import COSINE, SHARE, Protocol, comparable, image_mean
from experiments.protocols.samples import DEVICE, Samples, on_device
from lightning_mmdiff.errors import MissingFileError
from lightning_mmdiff.metrics.clip_score import load_clip, text_result, text_similarity
from lightning_mmdiff.metrics.identity import EffNetIdentity, FaceEmbedder, SFace, identity_result
from lightning_mmdiff.metrics.results import MetricResult


def attribute_accuracy(samples: Samples) -> NDArray[np.float64]:
    """Return the share of the judged attributes that are right in each image, [N]."""
    evaluator = samples.evaluators["attribute-judge"]
    predicted = on_device(evaluator.predict, samples.images) > 0.5
    truth = evaluator.target(samples.test["conditions"]["attributes"]) > 0.5
    return (predicted == truth).double().mean(dim=1).numpy()


def published_attribute_accuracy(samples: Samples) -> NDArray[np.float64]:
    """Raise: no published classifier exists."""
    raise MissingFileError("no paper publishes an attribute classifier, and none is trained at this profile.")


def clip_score(samples: Samples) -> MetricResult:
    """Measure how well samples match their captions."""
    captions = samples.test["conditions"]["caption"]
    return text_result("CLIPScore", text_similarity(load_clip().to(DEVICE), samples.images, captions))


def identity(
    name: str, embedder: Callable[[], FaceEmbedder], description: str, *, weights: tuple[str, ...] = ()
) -> Protocol:
    """Return a protocol for the cosine of face embeddings before and after an edit.

    Args:
        name: name of the protocol.
        embedder: makes the face embedder.
        description: description for the reader of a report.
        weights: published files that ``embedder`` reads.
    """

    def measure(samples: Samples) -> MetricResult:
        return identity_result(name, embedder(), samples.images, samples.originals)

    return Protocol(name=name, better="higher", description=description, measure=measure, weights=weights, range=COSINE)


PROTOCOLS = (
    image_mean(
        "Attributes-MiniJudge", lambda samples: samples.once(attribute_accuracy), better="higher", range=SHARE,
        description="Share of eight attributes (hair colors, glasses, hat, male, smiling) that a separate small classifier "
        "reads off the sample as they are in the face whose caption was given.",
    ),
    image_mean(
        "Attributes-FaceClassifier", published_attribute_accuracy, better="higher", range=SHARE,
        description="As Attributes-MiniJudge, by a classifier trained on CelebA; no paper publishes its weights.",
    ),
    comparable(
        Protocol(
            name="CLIPScore", better="higher", measure=clip_score, weights=("clip",), range=(-100.0, 100.0),
            description="100 times the cosine of sample and caption by CLIP ViT-B/32, mean over images.",
        ),
        "taken with ViT-B/32, which its size fits: the paper names no CLIP",
    ),
    identity(
        "Identity-EffNetLite0", lambda: EffNetIdentity(device=DEVICE),
        "Cosine of EfficientNet-Lite0 features before and after the edit. Knows objects, not persons; see the row of another "
        "person for its floor.",
    ),
    identity(
        "Identity-SFace", SFace,
        "Cosine of SFace embeddings of the aligned faces before and after; 0 where no face is found.",
        weights=("yunet", "sface"),
    ),
)  # fmt: skip
