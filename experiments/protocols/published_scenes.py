"""Table 3 of Unite and Conquer (CVPR 2023) by published networks: quality, agreement with the text, the class that is seen.

The paper names no protocol but the metrics: which CLIP, which EfficientNet and which NIQE are our choices (PITFALLS).
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.protocols.protocol import AT_LEAST_0, COSINE, SHARE, Protocol, comparable, image_mean
from experiments.protocols.samples import DEVICE, Samples, on_device
from lightning_mmdiff import weights
from lightning_mmdiff.metrics import niqe
from lightning_mmdiff.metrics.clip_score import load_clip, text_similarity
from lightning_mmdiff.metrics.efficientnet_b7 import EfficientNetB7
from lightning_mmdiff.networks.farl import ClipEmbedder


def published_quality(samples: Samples) -> NDArray[np.float64]:
    """Return NIQE of each image, [N]."""
    return niqe.niqe(samples.images, niqe.published(weights.require("niqe")), niqe.BLOCK)


def clip(samples: Samples) -> ClipEmbedder:
    """Return CLIP ViT-B/32."""
    return load_clip().to(DEVICE)


def clip_cosines(samples: Samples) -> NDArray[np.float64]:
    """Return the cosine of each image and its full prompt by CLIP ViT-B/32, [N]."""
    return text_similarity(samples.once(clip), samples.images, samples.test["conditions"]["full_caption"])


def predicted_class(samples: Samples) -> torch.Tensor:
    """Return EfficientNet-B7's most likely class of each image, int64 [N]."""
    network = EfficientNetB7(weights.require("efficientnet_b7")).to(DEVICE)
    with torch.inference_mode():
        return on_device(lambda images: network(images).argmax(dim=1), samples.images)


def class_is_right(samples: Samples) -> NDArray[np.bool_]:
    """Return whether EfficientNet-B7's most likely class is the asked one, [N]."""
    return (samples.once(predicted_class) == samples.test["conditions"]["label"]).numpy()


def other_class_is_there(samples: Samples) -> NDArray[np.bool_]:
    """Return whether EfficientNet-B7's most likely class is the one that a contradictory text names, [N]."""
    return (samples.once(predicted_class) == samples.test["conditions"]["other"]).numpy()


def text_is_nearest(samples: Samples) -> NDArray[np.bool_]:
    """Return whether CLIP ViT-B/32 finds each image nearer to the text of its scene than to those of all others, [N]."""
    embedder, number = samples.once(clip), samples.test["conditions"]["scene"]
    text_of = dict(zip(number.tolist(), samples.test["conditions"]["caption"]))
    numbers = torch.tensor(sorted(text_of))
    texts = embedder.embed_text([text_of[i] for i in numbers.tolist()])  # [K, D]
    nearest = torch.cat([(embedder.embed_images(b) @ texts.T).argmax(dim=1).cpu() for b in samples.images.split(32)])
    return (numbers[nearest] == number).numpy()


def class_and_text_are_right(samples: Samples) -> NDArray[np.bool_]:
    """Return whether each image shows its class and its scene, [N].

    Raises:
        MissingFileError: before the first network runs, if the other's file is missing.
    """
    for name in ("clip", "efficientnet_b7"):
        weights.require(name)
    return samples.once(class_is_right) & samples.once(text_is_nearest)


def _share(name: str, right: Callable[[Samples], NDArray], description: str, *files: str) -> Protocol:
    def score(samples: Samples) -> NDArray:
        return samples.once(right)

    return image_mean(name, score, better="higher", description=description, weights=files, range=SHARE)


PROTOCOLS = (
    comparable(
        image_mean(
            "NIQE-BasicSR", published_quality, better="lower", range=AT_LEAST_0, weights=("niqe",),
            description="NIQE (Mittal et al. 2013) of the brightness in blocks of 96 pixels, with BasicSR's parameters.",
        ),
        "Assumes NIQE as BasicSR has it, from which the authors' code takes its other metrics, on images of 256 pixels.",
    ),
    comparable(
        image_mean(
            "CLIPCosine", clip_cosines, better="higher", range=COSINE, weights=("clip",),
            description="Cosine of sample and full prompt (scene and thing) by CLIP ViT-B/32.",
        ),
        "Assumes CLIP ViT-B/32 and the full prompt; the paper names neither.",
    ),
    comparable(
        image_mean(
            "Accuracy-EffNetB7", lambda samples: 100.0 * samples.once(class_is_right), better="higher", range=(0.0, 100.0),
            weights=("efficientnet_b7",),
            description="Percent of samples whose most likely class by EfficientNet-B7 (Noisy Student, 600 pixels) is the asked "
            "one.",
        ),
        "Assumes EfficientNet-B7 by Noisy Student; the paper cites EfficientNet without size or weights.",
    ),
    _share(
        "Other-EffNetB7", other_class_is_there,
        "Share of samples whose most likely class by EfficientNet-B7 is the other one, which a contradictory text names.",
        "efficientnet_b7",
    ),
    _share(
        "Scene-CLIP", text_is_nearest,
        "Share of samples that CLIP ViT-B/32 finds nearer to the text of their scene than to those of all other scenes.", "clip",
    ),
    _share(
        "Both-EffNetB7-CLIP", class_and_text_are_right,
        "Share of samples with both: the class by EfficientNet-B7 and the scene by CLIP.", "efficientnet_b7", "clip",
    ),
)  # fmt: skip
