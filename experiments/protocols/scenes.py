"""Whether a sample shows the scene of its text and the thing of its class (Unite and Conquer, CVPR 2023, Table 3), and how well.

Below the paper profile, classifiers of our own judge, trained on rendered scenes in which all pairs are equally frequent.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.protocols.protocol import AT_LEAST_0, COSINE, SHARE, Protocol, image_mean
from experiments.protocols.samples import Samples
from lightning_mmdiff.metrics import niqe
from lightning_mmdiff.metrics.clip_score import text_similarity

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


def _share(name: str, right: Callable[[Samples], NDArray], description: str) -> Protocol:
    def score(samples: Samples) -> NDArray:
        return samples.once(right)

    return image_mean(name, score, better="higher", description=description, range=SHARE)


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
)  # fmt: skip
