"""Whether samples show the label they were made for, and whether a model predicts the label of a test image."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.core import build
from experiments.protocols.distances import BIAS
from experiments.protocols.protocol import AT_LEAST_0, SHARE, Protocol
from experiments.protocols.samples import DEVICE, Samples, on_device
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
from lightning_mmdiff.metrics.classification import accuracy_result
from lightning_mmdiff.metrics.frechet import fit_gaussian
from lightning_mmdiff.metrics.inception_score import inception_score_result
from lightning_mmdiff.metrics.results import MetricResult, frechet_result


def evaluator(samples: Samples, *, of: str) -> Any:
    """Return the classifier of clean images of "object" or "digit" (``of``) at the samples' size."""
    return samples.evaluators[f"{of}-classifier-{samples.run.data.image_size}"]


def probabilities(samples: Samples, *, of: str) -> NDArray[np.float64]:
    """Return the evaluator's probability of each class, [N, K]."""
    classifier = evaluator(samples, of=of)
    return on_device(classifier.predict, samples.images).double().numpy()


object_probabilities = partial(probabilities, of="object")
digit_probabilities = partial(probabilities, of="digit")


def own_logits(samples: Samples) -> NDArray[np.float64]:
    """Return the class logits of the run's own model for the real test images, [N, K]."""
    model = build.trained(samples.run.needs[0], samples.folder.parent).to(DEVICE)
    if not isinstance(model, MTDiffusion):
        return on_device(lambda batch: model.predict(batch).log(), samples.real).double().numpy()
    numbers = count()  # of the batches, which seed their noise

    def logits(batch: Tensor) -> Tensor:
        return model.predictions(batch, 0, torch.Generator().manual_seed(next(numbers)))["label"]

    return on_device(logits, samples.real).double().numpy()


def accuracy(name: str, logits: Callable[[Samples], NDArray], description: str, *, k: int = 1) -> Protocol:
    """Return a protocol for the share of images whose label is among the ``k`` largest ``logits``.

    Args:
        name: name of the protocol.
        logits: computes logits of each image, [N, K], or any increasing function of them.
        description: description for the reader of a report.
        k: number of guesses that count.
    """

    def measure(samples: Samples) -> MetricResult:
        labels = samples.test["conditions"]["label"].numpy()
        return accuracy_result(name, samples.once(logits), labels, k=k)

    return Protocol(name=name, better="higher", description=description, measure=measure, range=SHARE)


def object_score(samples: Samples) -> MetricResult:
    """Measure the Inception score on the classes of the object evaluator."""
    return inception_score_result("IS-ObjectClassifier", np.log(samples.once(object_probabilities).clip(1e-12)))


def digit_distance(samples: Samples) -> MetricResult:
    """Measure the Frechet distance on the inputs of the digit evaluator's last layer."""
    real = samples.data.test.batch(list(range(len(samples.data.test))))["image"]
    reference = fit_gaussian(_last_layer(samples, real))
    return frechet_result(
        "FD-DigitClassifier", _last_layer(samples, samples.stored), reference, reference=samples.against
    )


def _last_layer(samples: Samples, images: Tensor) -> NDArray[np.float64]:
    classifier = evaluator(samples, of="digit")
    return on_device(classifier.features, images).double().numpy()


PROTOCOLS = (
    Protocol(
        name="IS-ObjectClassifier", better="higher", measure=object_score, range=(1.0, 10.0),
        description="Inception score on the ten classes of a small classifier of our own, at most 10. Not an IS.",
    ),
    Protocol(
        name="FD-DigitClassifier", better="lower", measure=digit_distance, range=AT_LEAST_0,
        description="Frechet distance on what the last layer of a small classifier of digits reads, to the real test digits. "
        "Not an FID." + BIAS,
    ),
    accuracy(
        "Label-ObjectClassifier", object_probabilities,
        "Share of samples that a separate small classifier gives the class they were made for.",
    ),
    accuracy(
        "Label-DigitClassifier", digit_probabilities,
        "Share of samples that a small classifier of real digits gives the label they were made for.",
    ),
    accuracy("Top1", own_logits, "Share of test images whose most likely class is theirs."),
    accuracy("Top5", own_logits, "Share of test images with their class among the five most likely.", k=5),
)  # fmt: skip
