"""Whether a sample shows the scene of its text and the thing of its class (Unite and Conquer, CVPR 2023, Table 3), and how well.

Below the paper profile, classifiers of our own judge, trained on rendered scenes in which all pairs are equally frequent.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.protocols.protocol import AT_LEAST_0, COSINE, SHARE, Protocol, image_mean
from experiments.protocols.samples import DEVICE, Samples
from lightning_mmdiff import weights
from lightning_mmdiff.metrics import niqe
from lightning_mmdiff.metrics.clip_score import load_clip, text_similarity
from lightning_mmdiff.metrics.efficientnet_b7 import EfficientNetB7
from lightning_mmdiff.networks.farl import ClipEmbedder

BLOCK = 16
"""Side in pixels of the blocks whose statistics are compared in images of 32 pixels; half of a smaller image."""
PRISTINE = 1000
"""Number of training images to which the quality model is fitted."""


def hits(samples: Samples, *, judge: str, condition: str) -> NDArray[np.bool_]:
    """Return whether ``judge`` gives each image the class that its ``condition`` names, [N]."""
    classifier = samples.evaluators[judge]
    predicted = torch.cat([classifier.predict(batch) for batch in samples.images.split(64)]).argmax(dim=1)
    return (predicted == samples.test["conditions"][condition]).numpy()


thing_is_right = partial(hits, judge="thing-judge", condition="label")
scene_is_right = partial(hits, judge="scene-judge", condition="scene")
other_is_there = partial(hits, judge="thing-judge", condition="other")


def both_are_right(samples: Samples) -> NDArray[np.bool_]:
    """Return whether each image shows its thing and its scene, [N]."""
    return samples.once(thing_is_right) & samples.once(scene_is_right)


def small_cosines(samples: Samples) -> NDArray[np.float64]:
    """Return the cosine of each image and its full prompt by our small judge of texts, [N]."""
    return text_similarity(samples.evaluators["text-judge"], samples.images, samples.test["conditions"]["full_caption"])


def rendered_quality(samples: Samples) -> NDArray[np.float64]:
    """Return the distance of each image's statistics from those of training images, [N]."""
    block = min(BLOCK, samples.run.data.image_size // 2)

    def compute() -> dict[str, np.ndarray]:
        images = samples.data.train.batch(list(range(min(PRISTINE, len(samples.data.train)))))["image"]
        found = niqe.fit(np.concatenate([niqe.block_features(image, block) for image in niqe.luma(images)]))
        return {"mean": found.mean, "covariance": found.covariance}

    return niqe.niqe(samples.images, niqe.Statistics(**samples.kept("quality", f"{PRISTINE} {block}", compute)), block)


def published_quality(samples: Samples) -> NDArray[np.float64]:
    """Return NIQE of each image, [N]."""
    return niqe.niqe(samples.images, niqe.published(weights.require("niqe")))


def clip(samples: Samples) -> ClipEmbedder:
    """Return CLIP ViT-B/32."""
    return load_clip().to(DEVICE)


def clip_cosines(samples: Samples) -> NDArray[np.float64]:
    """Return the cosine of each image and its full prompt by CLIP ViT-B/32, [N]."""
    return text_similarity(samples.once(clip), samples.images, samples.test["conditions"]["full_caption"])


def class_is_right(samples: Samples) -> NDArray[np.bool_]:
    """Return whether EfficientNet-B7's most likely class is the asked one, [N]."""
    network = EfficientNetB7(weights.require("efficientnet_b7")).to(DEVICE)
    with torch.inference_mode():
        found = torch.cat([network(batch.to(DEVICE)).argmax(dim=1).cpu() for batch in samples.images.split(8)])
    return (found == samples.test["conditions"]["label"]).numpy()


def text_is_nearest(samples: Samples) -> NDArray[np.bool_]:
    """Return whether CLIP ViT-B/32 finds each image nearer to the text of its scene than to those of all others, [N]."""
    embedder, number = samples.once(clip), samples.test["conditions"]["scene"]
    text_of = dict(zip(number.tolist(), samples.test["conditions"]["caption"]))
    numbers = torch.tensor(sorted(text_of))
    texts = embedder.embed_text([text_of[i] for i in numbers.tolist()])  # [K, D]
    nearest = torch.cat([(embedder.embed_images(b) @ texts.T).argmax(dim=1).cpu() for b in samples.images.split(32)])
    return (numbers[nearest] == number).numpy()


def class_and_text_are_right(samples: Samples) -> NDArray[np.bool_]:
    """Return whether each image shows its class and its scene, [N]."""
    return samples.once(class_is_right) & samples.once(text_is_nearest)


def _share(name: str, right: Callable[[Samples], NDArray], description: str, weights: tuple[str, ...] = ()) -> Protocol:
    def score(samples: Samples) -> NDArray:
        return samples.once(right)

    return image_mean(name, score, better="higher", description=description, weights=weights, range=SHARE)


PROTOCOLS = (
    image_mean(
        "Quality-Rendered", rendered_quality, better="lower", range=AT_LEAST_0,
        description="NIQE's statistics and formula in blocks of 16 pixels, against 1,000 rendered training scenes. Not a NIQE.",
    ),
    image_mean(
        "TextCosine-MiniJudge", small_cosines, better="higher", range=COSINE,
        description="Cosine of sample and full prompt (scene and thing), by a small image-text model that conditions nothing.",
    ),
    _share(
        "Accuracy-ThingJudge", thing_is_right,
        "Share of samples in which a small classifier of rendered scenes sees the thing of the class, of ten and none.",
    ),
    _share(
        "Accuracy-SceneJudge", scene_is_right,
        "Share of samples in which a small classifier sees the scene of the text, of six and a plain ground.",
    ),
    _share(
        "Other-ThingJudge", other_is_there,
        "Share of samples in which a small classifier sees the other thing, which a contradictory text names.",
    ),
    _share(
        "Both-MiniJudges", both_are_right,
        "Share of samples that show both: the thing of the class, and the scene of the text.",
    ),
    image_mean(
        "NIQE-BasicSR", published_quality, better="lower", range=AT_LEAST_0, weights=("niqe",),
        description="NIQE (Mittal et al. 2013) of the brightness in blocks of 96 pixels, with the parameters that BasicSR has.",
    ),
    image_mean(
        "CLIPCosine", clip_cosines, better="higher", range=COSINE, weights=("clip",),
        description="Cosine of sample and full prompt (scene and thing) by CLIP ViT-B/32.",
    ),
    _share(
        "Accuracy-EffNetB7", class_is_right,
        "Share of samples whose most likely class by EfficientNet-B7 (Noisy Student, 600 pixels) is the asked one.",
        ("efficientnet_b7",),
    ),
    _share(
        "Scene-CLIP", text_is_nearest,
        "Share of samples that CLIP ViT-B/32 finds nearer to the text of their scene than to those of all other scenes.",
        ("clip",),
    ),
    _share(
        "Both-EffNetB7-CLIP", class_and_text_are_right,
        "Share of samples with both: Accuracy-EffNetB7 and Scene-CLIP.", ("efficientnet_b7", "clip"),
    ),
)  # fmt: skip
