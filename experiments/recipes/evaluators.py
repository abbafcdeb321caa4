"""Models that measure or condition at mini: face parser, attribute classifier, image-text model. All on rendered faces.

At paper these are published networks with local weights (see ``lightning_mmdiff/weights``), so nothing is trained.
The evaluator of a condition is never the model used for conditioning.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from datamodules.config import DataConfig
from datamodules.faces.captions import CaptionKind
from datamodules.faces.classes import ATTRIBUTES
from datamodules.mini import objects
from datamodules.mini.people import captions, invent
from experiments.recipes.settings import mt_diffusion, unite_and_conquer
from experiments.recipes.settings.evaluators import of
from experiments.recipes.settings.training import Length
from experiments.recipes.settings.unite_and_conquer import CELEBA
from experiments.runs import TrainRun
from experiments.spec import Profile
from lightning_mmdiff.models.contrastive import ContrastiveConfig
from lightning_mmdiff.models.evaluators import AttributeClassifierConfig, FaceParserConfig
from lightning_mmdiff.networks.image_text import build_vocabulary
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.source import ModelSource

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
    """Return the face parser trained on both rendered domains; none at paper."""
    length = of(profile).face_parser
    if length is None:
        return ()
    domains = dict.fromkeys((CELEBA, unite_and_conquer.of(profile).second_domain))
    data = tuple(_faces(profile, domain) for domain in domains)
    return (_evaluator("face-parser", FaceParserConfig(), data, length),)


def attribute_evaluator(profile: Profile) -> tuple[TrainRun, ...]:
    """Return the classifier of attributes that captions mention; none at paper."""
    length = of(profile).attributes
    if length is None:
        return ()
    config = AttributeClassifierConfig(attributes=tuple(ATTRIBUTES.index(name) for name in JUDGED_ATTRIBUTES))
    return (_evaluator("attribute-judge", config, (_faces(profile, CELEBA, "attributes"),), length),)


def image_text_model(profile: Profile) -> ModelSource:
    """Return an image-text model in the role of FaRL, trained on rendered CelebA-HQ faces and captions (FFHQ has none).

    At paper, return the released FaRL.
    """
    length = of(profile).face_captions
    if length is None:
        return Released("farl")
    config = ContrastiveConfig(vocabulary=rendered_words())
    return _evaluator("image-text-model", config, (_faces(profile, CELEBA, "caption"),), length)


def object_captions(profile: Profile) -> ModelSource:
    """Return an image-text model of rendered objects and their captions; FaRL at paper."""
    length = of(profile).object_captions
    if length is None:
        return Released("farl")
    config = ContrastiveConfig(vocabulary=object_words(), max_length=16)
    size = mt_diffusion.of(profile).objects_64.image_size
    data = DataConfig(dataset="imagenet", image_size=size, conditions=("caption",))
    return _evaluator("object-captions", config, (data,), length)


def _faces(profile: Profile, dataset: str, *conditions: str) -> DataConfig:
    captions: CaptionKind | None = "celeba-dialog" if "caption" in conditions else None
    size = unite_and_conquer.of(profile).image_size
    return DataConfig(dataset=dataset, image_size=size, conditions=conditions, captions=captions)


def _evaluator(
    name: str,
    config: FaceParserConfig | AttributeClassifierConfig | ContrastiveConfig,
    data: tuple[DataConfig, ...],
    length: Length,
) -> TrainRun:
    """Return the model's own training recipe, with the learning rate falling to zero at the last step.

    Args:
        name: name of the run.
        config: config of the model.
        data: training data.
        length: length of the training.
    """
    optimizer = replace(config.optimizer, decay_steps=length.trainer.max_steps)
    return TrainRun(
        name=name,
        model=replace(config, optimizer=optimizer),
        data=data,
        batch_size=length.batch_size,
        trainer=length.trainer,
    )


@cache
def rendered_words() -> tuple[str, ...]:
    """Return the vocabulary of the rendered captions."""
    people = [invent(0, domain, np.arange(2000)) for domain in ("A", "B")]
    return build_vocabulary(str(entry["overall_caption"]) for group in people for entry in captions(group))


@cache
def object_words() -> tuple[str, ...]:
    """Return the vocabulary of the captions of rendered objects."""
    return build_vocabulary(objects.captions(objects.invent(0, "train", np.arange(2000))))
