"""Models that measure or condition at mini: face parser, attribute classifier, image-text model. All on rendered faces.

At paper these are published networks with local weights (see ``lightning_mmdiff/weights``), so nothing is trained.
The evaluator of a condition is never the model that conditions.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from datamodules.config import DataConfig
from datamodules.faces.captions import CaptionKind
from datamodules.faces.classes import ATTRIBUTES
from datamodules.mini import objects
from datamodules.mini.people import captions, invent
from experiments.spec import Profile, TrainerConfig, TrainRun
from lightning_mmdiff.models.contrastive import ContrastiveConfig
from lightning_mmdiff.models.evaluators import AttributeClassifierConfig, FaceParserConfig
from lightning_mmdiff.networks.image_text import build_vocabulary

JUDGED_ATTRIBUTES = (
    "Black_Hair",
    "Blond_Hair",
    "Brown_Hair",
    "Gray_Hair",
    "Eyeglasses",
    "Wearing_Hat",
    "Male",
    "Smiling",
)


def face_parser(profile: Profile) -> tuple[TrainRun, ...]:
    """Face parser trained on both rendered domains; none at paper."""
    steps = {"smoke": 4, "mini": 500}.get(profile)
    if steps is None:
        return ()
    return (
        TrainRun(
            name="face-parser",
            model=_shortened(FaceParserConfig(), steps),
            data=(_faces(profile), *(() if profile == "smoke" else (_faces(profile, dataset="ffhq"),))),
            batch_size=4 if profile == "smoke" else 32,
            trainer=_trainer(steps),
        ),
    )


def attribute_evaluator(profile: Profile) -> tuple[TrainRun, ...]:
    """Classifier of attributes that captions mention; none at paper."""
    steps = {"smoke": 4, "mini": 600}.get(profile)
    if steps is None:
        return ()
    indices = tuple(ATTRIBUTES.index(name) for name in JUDGED_ATTRIBUTES)
    return (
        TrainRun(
            name="attribute-judge",
            model=_shortened(AttributeClassifierConfig(attributes=indices), steps),
            data=(_faces(profile, "attributes"),),
            batch_size=4 if profile == "smoke" else 64,
            trainer=_trainer(steps),
        ),
    )


def image_text_model(profile: Profile) -> TrainRun:
    """Image-text model in the role of FaRL, trained on rendered CelebA-HQ faces and their captions (FFHQ has none)."""
    steps = {"smoke": 4, "mini": 600}[profile]
    return TrainRun(
        name="image-text-model",
        model=_shortened(ContrastiveConfig(vocabulary=rendered_words()), steps),
        data=(_faces(profile, "caption"),),
        batch_size=8 if profile == "smoke" else 128,
        trainer=_trainer(steps),
    )


def object_captions(profile: Profile) -> TrainRun:
    """Image-text model of rendered objects and their captions."""
    steps, size = {"smoke": (4, 16), "mini": (400, 16)}[profile]
    return TrainRun(
        name="object-captions",
        model=_shortened(ContrastiveConfig(vocabulary=object_words(), max_length=16), steps),
        data=(DataConfig(dataset="imagenet", image_size=size, conditions=("caption",)),),
        batch_size=8 if profile == "smoke" else 128,
        trainer=_trainer(steps),
    )


def _faces(profile: Profile, *conditions: str, dataset: str = "celebamask_hq") -> DataConfig:
    size = 16 if profile == "smoke" else 32
    source: CaptionKind | None = "celeba-dialog" if "caption" in conditions else None
    return DataConfig(dataset=dataset, image_size=size, conditions=conditions, captions=source)


def _trainer(steps: int) -> TrainerConfig:
    return TrainerConfig(max_steps=steps, checkpoint_every=max(2, steps // 5))


@cache
def rendered_words() -> tuple[str, ...]:
    """Vocabulary of the rendered captions."""
    people = [invent(0, domain, np.arange(2000)) for domain in ("A", "B")]
    return build_vocabulary(str(entry["overall_caption"]) for group in people for entry in captions(group))


@cache
def object_words() -> tuple[str, ...]:
    """Vocabulary of the captions of rendered objects."""
    return build_vocabulary(objects.captions(objects.invent(0, "train", np.arange(2000))))


def _shortened(config, steps: int):
    """The model's own training recipe, its learning rate falling to zero at ``steps``."""
    return replace(config, optimizer=replace(config.optimizer, decay_steps=steps))
