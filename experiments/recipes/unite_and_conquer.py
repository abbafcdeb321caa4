"""Unite and Conquer's experts, united samplers and faces (CVPR 2023, Sec. 4.1 and supplement 7.3, 7.5).

The numbers are in ``settings/unite_and_conquer.py``.
"""

from dataclasses import dataclass, replace

from datamodules.config import DataConfig
from datamodules.faces.captions import CaptionKind
from experiments.recipes.evaluators import image_text_model
from experiments.recipes.profiles import few_images, with_steps
from experiments.recipes.settings.unite_and_conquer import CELEBA, of
from experiments.runs import SampleRun, TrainRun, seeded
from experiments.spec import Profile
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

CHANNELS = {"face_parts": 7, "mask": 19}
"""Number of channels of maps that have more than one."""


def face(profile: Profile) -> str:
    """Return the name of the condition that gives the face without its hair."""
    return of(profile).face


def expert(profile: Profile, seed: int, name: str, data: tuple[DataConfig, ...], *, text: bool = False) -> TrainRun:
    """Return a diffusion model of all conditions in ``data``, one at a time.

    Args:
        profile: profile of the run.
        seed: training seed.
        name: name of the run.
        data: data sets with their conditions.
        text: whether the image's embedding is also a condition.
    """
    settings = of(profile)
    maps = tuple((c, CHANNELS.get(c, 1)) for c in dict.fromkeys(c for d in data for c in d.conditions))
    names = tuple(n for n, _ in maps)
    kept = (((names, 0.5), (("text",), 0.375)) if names else ((("text",), 0.875),)) if text else ((names, 0.875),)
    conditions = ConditionConfig(
        spatial=maps,
        embedding=("text", settings.embedding_dim) if text else None,
        projected_channels=settings.projected_channels if len(maps) > 1 else None,
        rgb=settings.rgb_maps,
    )
    return TrainRun(
        name=seeded(name, seed),
        model=DenoiserConfig(
            network=replace(
                settings.network,
                in_channels=3 + conditions.channels,
                embedding_dim=settings.embedding_dim if text else None,
            ),
            conditions=conditions,
            image_size=settings.image_size,
            subsets=(*kept, ((), 0.125)),
            optimizer=settings.training.optimizer,
            **vars(settings.loss),
        ),
        data=data,
        batch_size=settings.training.batch_size,
        trainer=settings.training.trainer,
        embedder=image_text_model(profile) if text else None,
        seed=seed,
    )


def hair_expert(profile: Profile, seed: int) -> TrainRun:
    """Return the hair map to face expert, on CelebA-HQ."""
    return expert(profile, seed, "hair-expert", (_data(profile, CELEBA, "hair"),))


def face_expert(profile: Profile, seed: int) -> TrainRun:
    """Return the face map to face expert, on FFHQ."""
    return expert(profile, seed, "face-expert", (_data(profile, of(profile).second_domain, face(profile)),))


def both_conditions(profile: Profile, seed: int) -> TrainRun:
    """Return one model that alternates between the two data sets, each with its own map (Table 4, Face+Hair)."""
    return expert(
        profile,
        seed,
        "both-conditions",
        (_data(profile, CELEBA, "hair"), _data(profile, of(profile).second_domain, face(profile))),
    )


def both_conditions_twice(profile: Profile, seed: int) -> TrainRun:
    """Return the same model with the training compute of two experts."""
    run = both_conditions(profile, seed)
    return replace(with_steps(run, 2 * run.trainer.max_steps), name=seeded("both-conditions-twice", seed))


def sketch_expert(profile: Profile, seed: int) -> TrainRun:
    """Return the Canny sketch to face expert, on CelebA-HQ (supplement 7.5)."""
    return expert(profile, seed, "sketch-expert", (_data(profile, CELEBA, "sketch"),))


def text_expert(profile: Profile, seed: int) -> TrainRun:
    """Return the image embedding to face expert, sampled with embeddings of texts it never saw (supplement 7.3).

    It is trained on FFHQ, or on CelebA-HQ where FFHQ is rendered.
    """
    return expert(profile, seed, "text-expert", (_data(profile, of(profile).text_domain),), text=True)


def released(profile: Profile, seed: int) -> TrainRun:
    """Return the single network of the released code: hair map, face map and text, one at a time."""
    data = (_data(profile, CELEBA, "hair"), _data(profile, of(profile).second_domain, face(profile)))
    return expert(profile, seed, "shared-network", data, text=True)


@dataclass(frozen=True, kw_only=True)
class FaceModels:
    """The models of faces by condition; the authors published one network for both maps and the text, and one for the sketch."""

    hair: ModelSource
    face: ModelSource
    both: ModelSource
    """Model given both maps in one pass."""
    sketch: ModelSource
    text: ModelSource


def face_models(profile: Profile, seed: int, *, beside_text: bool = False) -> FaceModels:
    """Return the models of faces: trained, each on its condition, or the authors'.

    Args:
        profile: profile of the run.
        seed: training seed.
        beside_text: whether the text is among the conditions of the batch: the published network then has a second norm in every
            row (PITFALLS 14).
    """
    if of(profile).released:
        text, sketch = Released("unite_and_conquer_face"), Released("unite_and_conquer_sketch")
        maps = text if beside_text else Released("unite_and_conquer_maps")
        return FaceModels(hair=maps, face=maps, both=maps, sketch=sketch, text=text)
    return FaceModels(
        hair=hair_expert(profile, seed), face=face_expert(profile, seed), both=both_conditions(profile, seed),
        sketch=sketch_expert(profile, seed), text=text_expert(profile, seed),
    )  # fmt: skip


def maps_and_sketch(profile: Profile, seed: int, *, text: bool = False) -> Unite:
    """Return hair map, face map and sketch united, with the text or without; w = 1 and a = 1/N (Sec. 4.1).

    The published networks are united as their code does: the sketch weighs .6, the face network's null is the only one.

    Args:
        profile: profile of the run.
        seed: training seed.
        text: whether the text takes part.
    """
    models = face_models(profile, seed, beside_text=text)
    parts = {
        "hair": models.hair,
        face(profile): models.face,
        "sketch": models.sketch,
        **({"text": models.text} if text else {}),
    }
    if not of(profile).released:
        return unite(*(guided(model, name) for name, model in parts.items()))
    weights = {"sketch": 0.6, "text": 1.25} | ({} if text else {"hair": 1.2, face(profile): 1.2})
    return unite(
        *(
            ExpertUse(run=model, conditions=(name,), weight=weights.get(name, 1.0), reliability=float(name == "hair"))
            for name, model in parts.items()
        )
    )


def united(
    profile: Profile, name: str, dataset: str, method: MethodConfig, *, num_images: int | None = None,
    judged_attributes: bool = False,
) -> SampleRun:  # fmt: skip
    """Return the run that samples a method under the conditions of the test images of ``dataset``.

    Published: 3,000 images, deterministic DDIM with 100 steps.

    Args:
        profile: profile of the run.
        name: start of the name of the run.
        dataset: data set of the test images.
        method: method that makes the images.
        num_images: number of images at paper; None is 3,000.
        judged_attributes: whether attributes and captions are read too.
    """
    spatial = tuple(dict.fromkeys(c for u in method.uses for c in u.conditions if c != "text"))
    reference = ("hair", face(profile))  # shown in the galleries next to every sample
    judged = ("attributes", "caption") if judged_attributes else ()
    seed = method.needs[0].seed if method.needs else 0
    published = SampleRun(
        name=seeded(f"{name}-{dataset.replace('celebamask_hq', 'celeba')}", seed),
        method=method,
        data=_data(profile, dataset, *dict.fromkeys((*reference, *spatial, *judged))),
        num_images=num_images or 3000,
        sampler=Sampler(name="spaced-ddim", num_steps=100) if method.takes_sampler else None,
        seed=seed,
    )
    return few_images(published, of(profile).samples)


def unite(*uses: ExpertUse) -> Unite:
    """Unite experts."""
    return Unite(experts=uses)


def guided(run: ModelSource, *conditions: str, weight: float = 1.0) -> ExpertUse:
    """Return one model under ``conditions``; ``weight`` 2 is classifier-free guidance of strength 2 (Eq. 11 with w = 1)."""
    return ExpertUse(run=run, conditions=conditions, weight=weight)


def _data(profile: Profile, dataset: str, *conditions: str) -> DataConfig:
    captions: CaptionKind | None = "celeba-dialog" if "caption" in conditions else None
    return DataConfig(dataset=dataset, image_size=of(profile).image_size, conditions=conditions, captions=captions)
