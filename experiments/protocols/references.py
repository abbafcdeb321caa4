"""The real images that samples are compared with: our test images, or the reference batch that ADM publishes for a data set."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.protocols.protocol import Protocol
from experiments.protocols.samples import DEVICE, Features, Samples
from lightning_mmdiff import weights
from lightning_mmdiff.metrics.features import extract_outputs
from lightning_mmdiff.metrics.frechet import Gaussian, fit_gaussian
from lightning_mmdiff.metrics.reference_batch import ReferenceBatch

ADM_BATCHES = {("imagenet", 64): "adm_imagenet64", ("imagenet", 128): "adm_imagenet128"}
"""Data set and image size -> name in the table of weights."""
ADM_BASIS = (
    "comparable only to ADM's reference batch (python -m lightning_mmdiff.weights says where its file is sought)"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Real images in the features of a network."""

    features: Callable[[], np.ndarray]
    """Features of the images, [M, D]."""
    gaussian: Callable[[], Gaussian]
    """Gaussian of the features; ADM's is that of many more images."""
    facts: dict[str, Any]
    """Facts for the reader of a result: "reference", and whether that makes it "comparable" with the papers', on what "basis"."""


ReferenceOf = Callable[[Samples, Features], Reference]


def by_adm(protocol: Protocol) -> Protocol:
    """Return ``protocol``, measured against ``adm_images``, with the condition under which it is comparable."""
    return replace(protocol, basis=ADM_BASIS)


def our_images(samples: Samples, features: Features) -> Reference:
    """Return the test images of the samples' data set."""
    return Reference(
        features=lambda: samples.reference(features),
        gaussian=lambda: fit_gaussian(samples.reference(features)),
        facts={"reference": samples.against},
    )


def adm_images(samples: Samples, features: Features) -> Reference:
    """Return ADM's reference batch of the data set if its file is there, else the test images."""
    name = ADM_BATCHES.get((samples.run.data.dataset, samples.run.data.image_size))
    path = weights.find(name) if name else None
    if path is None:
        ours = our_images(samples, features)
        basis = f"reference: our {samples.against}, not ADM's training set"
        return replace(ours, facts={**ours.facts, "comparable": False, "basis": basis})
    batch = ReferenceBatch(path)

    def compute() -> dict[str, np.ndarray]:
        outputs = extract_outputs([batch.images()], features.network(), (features.output,), device=DEVICE)
        return {"features": outputs[features.output]}

    text = f"ADM's reference batch {path.name}"
    return Reference(
        features=lambda: samples.kept(f"{features.label}-adm", weights.digest(path), compute)["features"],
        gaussian=lambda: batch.gaussian(features.output),
        facts={"reference": text, "comparable": True, "basis": f"reference: {text}"},
    )
