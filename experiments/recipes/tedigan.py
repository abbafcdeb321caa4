"""TediGAN's generator, mask encoders and faces (Xia et al. 2021); the numbers are in ``settings/tedigan.py``.

Both papers that compare with it trained it with pairs: every training image comes with all maps.
"""

from dataclasses import replace

from datamodules.config import DataConfig
from experiments.recipes import collaborative
from experiments.recipes.evaluators import image_text_model
from experiments.recipes.settings.tedigan import of
from experiments.recipes.unite_and_conquer import CHANNELS, both_conditions, face, united
from experiments.runs import SampleRun, TrainRun, seeded
from experiments.spec import Profile
from lightning_mmdiff.baselines.labels import LabelMaps
from lightning_mmdiff.baselines.tedigan import TediGAN
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.source import ModelSource


def generator(profile: Profile, seed: int) -> ModelSource:
    """Return StyleGAN2: trained on the faces of both data sets, or at paper the published one of FFHQ."""
    training = of(profile).generator
    if training is None:
        return Released("stylegan2_ffhq")
    return TrainRun(
        name=seeded("stylegan2", seed), model=training.model, data=_faces(profile, seed), regime="mixed",
        batch_size=training.batch_size, trainer=training.trainer, seed=seed,
    )  # fmt: skip


def maps_to_face(profile: Profile, seed: int, dataset: str) -> SampleRun:
    """Return TediGAN's row of Tables 1 and 2 of Unite and Conquer: faces from hair map and face map.

    Args:
        profile: profile of the run.
        seed: training seed.
        dataset: data set of the test images.
    """
    names = ("hair", face(profile))
    labels = tuple((name, CHANNELS.get(name, 1)) for name in names)
    encoder = _encoder(profile, seed, "maps", labels, _faces(profile, seed, *names))
    return united(profile, "tedigan", dataset, TediGAN(encoder=encoder, random_rest=True))


def mask_and_text_to_face(profile: Profile, seed: int) -> SampleRun:
    """Return TediGAN's row of Table 1 of Collaborative Diffusion: coarse styles of the mask, the others of the text."""
    data = (collaborative.data(profile, "mask"),)
    encoder = _encoder(profile, seed, "mask", (("mask", CHANNELS["mask"]),), data)
    method = TediGAN(encoder=encoder, embedder=_image_text_model(profile), search=of(profile).search)
    return collaborative.collaborated(profile, "tedigan-mask-text", method)


def _encoder(profile: Profile, seed: int, name: str, labels: LabelMaps, data: tuple[DataConfig, ...]) -> TrainRun:
    settings = of(profile)
    return TrainRun(
        name=seeded(f"tedigan-{name}-encoder", seed), model=replace(settings.encoder, labels=labels), data=data,
        regime="mixed", batch_size=settings.length.batch_size, trainer=settings.length.trainer,
        decoder=generator(profile, seed), seed=seed,
    )  # fmt: skip


def _faces(profile: Profile, seed: int, *conditions: str) -> tuple[DataConfig, ...]:
    """Return the faces of both data sets, each with the same conditions."""
    parts = (replace(part, conditions=conditions) for part in both_conditions(profile, seed).data)
    return tuple(dict.fromkeys(parts))


def _image_text_model(profile: Profile) -> ModelSource:
    """Return CLIP ViT-B/32, or below paper the one trained on rendered faces."""
    return Released("clip") if of(profile).generator is None else image_text_model(profile)
