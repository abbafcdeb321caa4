"""Collaborative Diffusion's autoencoder, experts, dynamic diffusers and samples (CVPR 2023, Sec. 4.1, supplement A.1).

The numbers are in ``settings/collaborative.py``.
"""

from collections.abc import Sequence
from dataclasses import replace

from datamodules.config import DataConfig
from experiments.protocols.catalogue import column
from experiments.recipes.beside_fid import enough_images, explained, protocols
from experiments.recipes.evaluators import rendered_words
from experiments.recipes.profiles import few_images
from experiments.recipes.settings.collaborative import of
from experiments.recipes.settings.unite_and_conquer import CELEBA
from experiments.recipes.unite_and_conquer import expert, text_expert
from experiments.runs import SampleRun, TrainRun, seeded
from experiments.spec import Metric, Profile
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig
from lightning_mmdiff.methods.single import CountParameters
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import released_sampler
from lightning_mmdiff.networks.tokens import MaskTokensConfig, TokensConfig
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

RELEASED, RELEASED_512 = "codiff_256", "codiff_512"
"""The authors' models of 256 and 512 pixels; the paper does not say at which its tables were measured."""
FID, FID_ALL, TEXT, MASK, MIOU = "FID", "FID, all images", "Text", "Mask", "mIoU"
"""Columns. The authors' FID uses 50 images (their reply to an issue); they give Text and Mask in percent."""
PUBLISHED = {
    FID_ALL: "FID", TEXT: "CLIPScore", MASK: "MaskAccuracy",
    **protocols("FID", kernel="KID", copies="Copies-Inception"),
}  # fmt: skip
STAND_INS = {
    FID_ALL: "FD-EffNetLite0", TEXT: "Attributes-MiniJudge", MASK: "MaskAccuracy-MiniParser",
    MIOU: "mIoU-MiniParser",
    **protocols("FD-EffNetLite0", kernel="KID-EffNetLite0", copies="Copies-EffNetLite0"),
}  # fmt: skip


SIZE = "256 or 512 pixels is not stated (PITFALLS 83)"
EXPLANATIONS = {
    FID: ("which 50 images is not stated: FID of 50 images varies and is biased (PITFALLS 83)", SIZE),
    TEXT: ("which CLIP is not stated; captions are those of the split's file (PITFALLS 59)", SIZE),
    MASK: ("the size at which masks are compared is not stated; a user found .46 for .80 (PITFALLS 84)", SIZE),
}
"""Column -> what in the protocol could explain a difference of a published checkpoint from the paper's number."""


def metrics(profile: Profile, *names: str) -> tuple[Metric, ...]:
    """Return the columns ``names`` (default all), each under the protocol that ``profile`` can measure."""
    settings = of(profile)
    named = {FID: settings.first_fid, **(PUBLISHED if settings.published_metrics else STAND_INS)}
    found = [column(name, named[name]) for name in named if not names or name in names]
    return enough_images(explained(found, EXPLANATIONS) if settings.released else found, settings.samples)


def autoencoder(profile: Profile) -> TrainRun:
    """Return the training run of the KL autoencoder of faces (A.1, Eq. 8)."""
    settings = of(profile).autoencoder
    return TrainRun(
        name="autoencoder",
        model=settings.model,
        data=(data(profile),),
        batch_size=settings.batch_size,
        trainer=settings.trainer,
    )


def mask_expert(profile: Profile, seed: int) -> TrainRun:
    """Return the mask-to-face expert.

    The pixel model drops its condition for one image in eight, as guidance requires; the paper's never does.
    """
    if of(profile).latent:
        return mask_token_expert(profile, seed)
    return expert(profile, seed, "mask-expert", (data(profile, "mask"),))


def mask_token_expert(profile: Profile, seed: int, *, class_embedding: bool = False) -> TrainRun:
    """Return the mask-to-face expert on tokens, latent even at mini; with ``class_embedding``, tokens identify their class."""
    settings = of(profile)
    name = "mask-expert" if settings.latent else "mask-token-expert"
    tokens = settings.mask_expert.conditions
    assert isinstance(tokens, MaskTokensConfig)
    tokens = replace(tokens, class_embedding=class_embedding)
    return _latent(profile, seed, f"{name}-with-classes" if class_embedding else name, tokens)


def words_expert(profile: Profile, seed: int) -> TrainRun:
    """Return the text-to-face expert.

    It has a text transformer trained with the U-Net, or diffuses pixels given embeddings from a small image-text model.
    """
    tokens = of(profile).text_tokens
    if tokens is None:  # Unite and Conquer's, but trained on texts as in this paper
        run = replace(text_expert(profile, seed), name=seeded("words-expert", seed), data=(data(profile, "caption"),))
        return on_captions(run)
    if of(profile).rendered_words:
        tokens = replace(tokens, vocabulary=rendered_words())
    return _latent(profile, seed, "words-expert", tokens)


def on_captions(run: TrainRun) -> TrainRun:
    """Return ``run`` with its embedding scaled to unit size per component; unscaled, 600 steps at mini hardly teach its use."""
    assert isinstance(run.model, DenoiserConfig)
    assert run.model.conditions.embedding is not None
    scale = run.model.conditions.embedding[1] ** 0.5
    return replace(run, model=replace(run.model, conditions=replace(run.model.conditions, embedding_scale=scale)))


def diffusers(profile: Profile, seed: int) -> TrainRun:
    """Return the training run of both experts' dynamic diffusers, with the experts frozen (Algorithm 1)."""
    settings, experts = of(profile), (mask_expert(profile, seed), words_expert(profile, seed))
    return TrainRun(
        name=seeded("dynamic-diffusers", seed),
        model=settings.diffusers,
        data=(as_seen_by(experts, data(profile, "mask", "caption")),),
        batch_size=settings.diffusers_length.batch_size,
        trainer=settings.diffusers_length.trainer,
        experts=experts,
        seed=seed,
    )


def collaboration(profile: Profile, seed: int) -> ModelSource:
    """Return both experts with their dynamic diffusers: trained, or the authors'."""
    return Released(RELEASED) if of(profile).released else diffusers(profile, seed)


def condition_names(profile: Profile, *modalities: str) -> tuple[str, ...]:
    """Return the experts' names of the mask and the text: tokens for latent models, else the conditions themselves."""
    return tuple(f"{name}_tokens" for name in modalities) if of(profile).latent else modalities


def mask_and_text(profile: Profile, seed: int) -> tuple[ExpertUse, ...]:
    """Return both experts, each conditioned on its modality."""
    mask, text = collaboration(profile, seed).experts
    return (
        ExpertUse(run=mask, conditions=condition_names(profile, "mask")),
        ExpertUse(run=text, conditions=condition_names(profile, "text")),
    )


def collaborated(profile: Profile, name: str, method: MethodConfig, *, image_size: int | None = None) -> SampleRun:
    """Return the run that samples faces given mask and caption of the test images.

    Published: 3,000 images, DDIM with 50 steps and eta 1.

    Args:
        profile: profile of the run.
        name: name of the run.
        method: method that makes the images.
        image_size: height and width in pixels; None is the profile's.
    """
    settings, seed = of(profile), method.needs[0].seed if method.needs else 0
    latent = settings.latent or any(source.is_latent for source in method.needs)
    config = as_seen_by(method.needs, data(profile, *settings.sampled))
    sampler = released_sampler() if latent else Sampler(name="ddim", num_steps=50, eta=1.0)
    published = SampleRun(
        name=seeded(name, seed),
        method=method,
        data=replace(config, image_size=image_size or config.image_size),
        num_images=3000,
        sampler=sampler if method.takes_sampler else None,
        seed=seed,
    )
    return few_images(published, settings.samples)


def counted(profile: Profile, name: str, run: TrainRun, conditions: tuple[str, ...]) -> SampleRun:
    """Return a run that samples nothing and only reads the configuration of the network of ``run`` under ``conditions``.

    Args:
        profile: profile of the run.
        name: name of the run, after "counted-".
        run: training run of the network.
        conditions: conditions that select the network.
    """
    use = ExpertUse(run=run, conditions=conditions)
    return SampleRun(
        name=seeded(f"counted-{name}", run.seed), method=CountParameters(expert=use), data=data(profile), num_images=1,
    )  # fmt: skip


def data(profile: Profile, *conditions: str) -> DataConfig:
    """Return CelebA-HQ with the captions that define the split: beards and ages, or below paper all attributes."""
    settings = of(profile)
    return DataConfig(dataset=CELEBA, image_size=settings.image_size, conditions=conditions, captions=settings.captions)


def as_seen_by(models: Sequence[ModelSource], config: DataConfig) -> DataConfig:
    """Return ``config`` with masks of the size that the models are trained on: that of their tokens, if they have any."""
    sizes = [part.label_size for model in models if isinstance(model, TrainRun) for part in model.data]
    released = [part for model in models for part in (model, *model.experts)]
    configs = [part.entry.model for part in released if isinstance(part, Released)]
    sizes += [size for config in configs if config is not None for size in config.condition_sizes.values()]
    return replace(config, label_size=next((size for size in sizes if size is not None), None))


def _latent(profile: Profile, seed: int, name: str, tokens: TokensConfig) -> TrainRun:
    """Return the training run of a uni-modal latent diffusion model."""
    settings = of(profile)
    return TrainRun(
        name=seeded(name, seed),
        model=replace(settings.mask_expert, conditions=tokens),
        data=(replace(data(profile, tokens.source), label_size=tokens.source_size),),
        batch_size=settings.expert.batch_size,
        trainer=settings.expert.trainer,
        autoencoder=autoencoder(profile),
        seed=seed,
    )
