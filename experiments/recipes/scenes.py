"""Scenes from a text and a class (Unite and Conquer, CVPR 2023, Sec. 4.2, Table 3): experts, judges, samples and columns.

The text model has seen scenes and things, the asked things rarely; the class model has seen all things, on plain grounds. What is
smaller below paper is in ``settings/scenes.py``.
"""

from dataclasses import dataclass, replace
from functools import cache

from datamodules.config import DataConfig
from datamodules.mini import objects, scenes
from datamodules.mini.scene_layouts import PLAIN
from datamodules.scenes import CAPTIONS, full_caption
from experiments.protocols.catalogue import column
from experiments.recipes.beside_fid import KID
from experiments.recipes.profiles import few_images
from experiments.recipes.settings.scenes import Settings, Trained, of
from experiments.runs import SampleRun, TrainRun, seeded
from experiments.spec import Metric, Profile
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.models.contrastive import ContrastiveConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.evaluators import Degradation
from lightning_mmdiff.models.noisy_classifier import NoisyClassifierConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.image_text import build_vocabulary
from lightning_mmdiff.networks.presets import mini_classifier
from lightning_mmdiff.schedules import Sampler, SamplerName

NIQE, CLIP, ACCURACY, SCENE, OTHER = "NIQE", "CLIP", "Acc", "Scene", "Text's thing"
BOTH, FD, CALLS = "Both", "FD to the asked", "Calls"
STAND_INS = {
    NIQE: "Quality-Rendered", CLIP: "TextCosine-MiniJudge", ACCURACY: "Accuracy-ThingJudge", SCENE: "Accuracy-SceneJudge",
    OTHER: "Other-ThingJudge", BOTH: "Both-MiniJudges", FD: "FD-EffNetLite0", KID: "KID-EffNetLite0", CALLS: "NetworkCalls",
}  # fmt: skip
WEIGHT = 5.0
"""w_i "for all the experiments" (Sec. 4.2)."""
RELEASED = (5 / 9, 4 / 9)
"""Reliabilities of class and text in the released code, which ignores its own setting."""
FIRST_CLASS = ("label@first_class",)
"""The null that the released code gives to a class model without a null class: the first class."""


def metrics(*columns: str) -> tuple[Metric, ...]:
    """Return the columns ``columns``, each under the protocol that measures rendered scenes."""
    return tuple(column(name, STAND_INS[name]) for name in columns)


def judges(profile: Profile) -> tuple[TrainRun, ...]:
    """Return the models that measure: classifiers of things and of scenes, and an image-text model that conditions nothing."""
    settings = of(profile)
    if settings.trained is None:
        return ()
    return (
        _classifier(settings, "thing-judge", "label", len(objects.NAMES) + 1),
        _classifier(settings, "scene-judge", "scene", len(scenes.NAMES) + 1),
        _image_text(settings, "text-judge", "scenes_balanced"),
    )


@dataclass(frozen=True, kw_only=True)
class Experts:
    """The two models of one profile and seed."""

    settings: Settings
    seed: int

    def text(self, prompt: str = "caption", *, weight: float = WEIGHT, a: float | None = None) -> ExpertUse:
        """Return the model of scenes, in the role of GLIDE, under a prompt of the batch (``datamodules.scenes``)."""
        trained_on = _data(self.settings, "scenes", "caption")
        conditions = ConditionConfig(embedding=("text", _trained(self.settings).embedding_dim))
        run = _expert(self.settings, self.seed, "scene-text-expert", trained_on, conditions)
        return ExpertUse(run=run, conditions=(f"text@{prompt}",), weight=weight, reliability=a)

    def thing(self, *, weight: float = WEIGHT, a: float | None = None, null: tuple[str, ...] = ()) -> ExpertUse:
        """Return the model of things on plain grounds, in the role of ADM on ImageNet, under the asked class."""
        conditions = ConditionConfig(label=("label", len(objects.NAMES)))
        run = _expert(
            self.settings, self.seed, "scene-class-expert", _data(self.settings, "close_things", "label"), conditions
        )
        return ExpertUse(run=run, conditions=("label",), weight=weight, reliability=a, null=null)

    def united(
        self,
        *,
        a: float = 0.5,
        weights: tuple[float, float] = (WEIGHT, WEIGHT),
        prompt: str = "caption",
        null: tuple[str, ...] = (),
    ) -> Unite:
        """Return both united by Eq. 10.

        Args:
            a: reliability of the text model; the class model has the rest (Sec. 4.3).
            weights: w of the class and of the text.
            prompt: prompt of the text model.
            null: conditions of the class model's unconditional prediction.
        """
        return Unite(
            experts=(self.thing(weight=weights[0], a=1 - a, null=null), self.text(prompt, weight=weights[1], a=a))
        )

    def sampled(self, name: str, method: MethodConfig, *, eta: float = 0.0, longer: float = 1.0) -> SampleRun:
        """Return the run that samples the asked pairs of a scene and a thing, all rows from the same noise.

        Args:
            name: name of the run, after "scenes".
            method: method that makes the images.
            eta: 0 for DDIM, as the paper unites; 1 for the noise of DDPM, with which CompGen and GLIDE sample.
            longer: factor on the number of steps.
        """
        seed = self.seed if method.needs else 0
        kind: SamplerName = "spaced-ddpm" if eta else "spaced-ddim"
        published = SampleRun(
            name=seeded(f"scenes-{name}", seed),
            method=method,
            data=_data(self.settings, "scenes", "label", "scene", "other", "first_class", *CAPTIONS),
            num_images=500,
            sampler=Sampler(name=kind, num_steps=100) if method.takes_sampler else None,
            seed=seed,
        )  # fmt: skip
        run = few_images(published, self.settings.samples)
        if run.sampler is None:
            return run
        return replace(run, sampler=replace(run.sampler, num_steps=round(longer * run.sampler.num_steps), eta=eta))

    def few(self, name: str, method: MethodConfig) -> SampleRun:
        """Return ``sampled`` with half of the images, for the many rows of a grid."""
        run = self.sampled(name, method)
        return replace(run, num_images=max(8, run.num_images // 2))


def _data(settings: Settings, dataset: str, *conditions: str) -> DataConfig:
    return DataConfig(dataset=dataset, image_size=settings.image_size, conditions=conditions)


def _trained(settings: Settings) -> Trained:
    assert settings.trained is not None, "released models are not trained"
    return settings.trained


def _expert(settings: Settings, seed: int, name: str, trained_on: DataConfig, conditions: ConditionConfig) -> TrainRun:
    """Return the training of an expert that loses its condition in an eighth of the images, to learn its null."""
    trained, embedded = _trained(settings), conditions.embedding is not None
    training = trained.text_training if embedded else trained.class_training
    network = replace(
        trained.network,
        embedding_dim=conditions.embedding[1] if conditions.embedding else None,
        num_classes=conditions.label[1] if conditions.label else None,
    )
    model = DenoiserConfig(
        network=network,
        conditions=conditions,
        image_size=settings.image_size,
        subsets=((conditions.names, 0.875), ((), 0.125)),
        optimizer=training.optimizer,
        **vars(trained.loss),
    )
    return TrainRun(
        name=seeded(name, seed), model=model, data=(trained_on,), batch_size=training.batch_size, trainer=training.trainer,
        embedder=_image_text(settings, "scene-captions", "scenes") if embedded else None, seed=seed,
    )  # fmt: skip


def _classifier(settings: Settings, name: str, label: str, classes: int) -> TrainRun:
    training = _trained(settings).judges.classes
    model = NoisyClassifierConfig(
        network=mini_classifier(classes, image_size=settings.image_size), label=label, noised=False,
        degradation=Degradation(), optimizer=training.optimizer,
    )  # fmt: skip
    balanced = _data(settings, "scenes_balanced", label)
    return TrainRun(name=name, model=model, data=(balanced,), batch_size=training.batch_size, trainer=training.trainer)


def _image_text(settings: Settings, name: str, dataset: str) -> TrainRun:
    trained = _trained(settings)
    length = trained.judges.texts
    config = ContrastiveConfig(vocabulary=_words(), max_length=16, embedding_dim=trained.embedding_dim)
    optimizer = replace(config.optimizer, decay_steps=length.trainer.max_steps)
    return TrainRun(
        name=name, model=replace(config, optimizer=optimizer), data=(_data(settings, dataset, "caption"),),
        batch_size=length.batch_size, trainer=length.trainer,
    )  # fmt: skip


@cache
def _words() -> tuple[str, ...]:
    """Return the vocabulary of the prompts."""
    return build_vocabulary(full_caption(s, t) for s in (*scenes.NAMES, PLAIN) for t in objects.NAMES)
