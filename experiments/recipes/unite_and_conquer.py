"""Unite and Conquer's experts, united samplers and faces: the published setting, and what mini and smoke make smaller.

Published: Sec. 4.1 and supplement 7.3, 7.5; what the paper leaves open is taken from the released code (see PITFALLS.md).
"""

from dataclasses import replace

from datamodules.config import DataConfig
from datamodules.faces.captions import CaptionKind
from experiments.recipes.evaluators import image_text_model
from experiments.recipes.profiles import few_images, with_steps
from experiments.spec import Profile, SampleRun, TrainerConfig, TrainRun, seeded
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.presets import mini_unet, unite_and_conquer_sketch
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.schedules import Sampler

CELEBA = "celebamask_hq"
FFHQ = "ffhq"
MINI_STEPS = 600
"""Optimizer steps of one expert at mini."""
CHANNELS = {"face_parts": 7, "mask": 19}
"""Of maps that have more than one."""


def face(profile: Profile) -> str:
    """Name of the condition that gives the face without its hair: the skin map, or at mini all parts of the face.

    A rendered hair map nearly determines the outline of the skin, so with a binary skin map uniting would be too easy.
    """
    return "skin" if profile == "paper" else "face_parts"


def second_domain(profile: Profile) -> str:
    """Data set of the face map: FFHQ; smoke trains on CelebAMask-HQ alone, so that it runs on that one folder."""
    return CELEBA if profile == "smoke" else FFHQ


def expert(profile: Profile, seed: int, name: str, data: tuple[DataConfig, ...], *, text: bool = False) -> TrainRun:
    """A diffusion model of all conditions in ``data``, and of the image's embedding if ``text``; one condition at a time."""
    maps = tuple((c, CHANNELS.get(c, 1)) for c in dict.fromkeys(c for d in data for c in d.conditions))
    names = tuple(n for n, _ in maps)
    kept = (((names, 0.5), (("text",), 0.375)) if names else ((("text",), 0.875),)) if text else ((names, 0.875),)
    conditions = ConditionConfig(
        spatial=maps,
        embedding=("text", 512) if text else None,
        projected_channels=3 if len(maps) > 1 else None,
        rgb=True,
    )
    network = unite_and_conquer_sketch(embedding_dim=512 if text else None)
    published = TrainRun(
        name=seeded(name, seed),
        model=DenoiserConfig(
            network=replace(network, in_channels=3 + conditions.channels),
            conditions=conditions,
            image_size=256,
            schedule="linear",
            prediction="eps",
            learned_variance=True,
            subsets=(*kept, ((), 0.125)),
            optimizer=OptimizerConfig(lr=1e-5),
        ),
        data=data,
        batch_size=8,
        embedder=Released("farl") if text else None,
        trainer=TrainerConfig(max_steps=100_000, precision="16-mixed", ema_decay=0.9999, checkpoint_every=2000),
        seed=seed,
    )
    return published if profile == "paper" else _small(published, profile, seed)


def hair_expert(profile: Profile, seed: int) -> TrainRun:
    """Hair map to face, on CelebA-HQ."""
    return expert(profile, seed, "hair-expert", (_data(profile, CELEBA, "hair"),))


def face_expert(profile: Profile, seed: int) -> TrainRun:
    """Face map to face, on FFHQ."""
    return expert(profile, seed, "face-expert", (_data(profile, second_domain(profile), face(profile)),))


def both_conditions(profile: Profile, seed: int) -> TrainRun:
    """One model that sees the two data sets in turn, each with its own map (Table 4, Face+Hair)."""
    return expert(
        profile,
        seed,
        "both-conditions",
        (_data(profile, CELEBA, "hair"), _data(profile, second_domain(profile), face(profile))),
    )


def both_conditions_twice(profile: Profile, seed: int) -> TrainRun:
    """The same with the training compute of two experts."""
    run = both_conditions(profile, seed)
    return replace(with_steps(run, 2 * run.trainer.max_steps), name=seeded("both-conditions-twice", seed))


def sketch_expert(profile: Profile, seed: int) -> TrainRun:
    """Canny sketch to face, on CelebA-HQ (supplement 7.5)."""
    return expert(profile, seed, "sketch-expert", (_data(profile, CELEBA, "sketch"),))


def text_expert(profile: Profile, seed: int) -> TrainRun:
    """Image embedding to face, sampled with the embedding of a text it never saw (supplement 7.3).

    On FFHQ at paper; on CelebA-HQ where it is rendered, as the rendered FFHQ has no captions to train an embedder on.
    """
    return expert(profile, seed, "text-expert", (_data(profile, FFHQ if profile == "paper" else CELEBA),), text=True)


def released(profile: Profile, seed: int) -> TrainRun:
    """The one network of the released code: hair map, face map and text, one at a time."""
    data = (_data(profile, CELEBA, "hair"), _data(profile, second_domain(profile), face(profile)))
    return expert(profile, seed, "shared-network", data, text=True)


def united(
    profile: Profile, name: str, dataset: str, method: MethodConfig, *, num_images: int | None = None,
    judged_attributes: bool = False,
) -> SampleRun:  # fmt: skip
    """Images of a method under the conditions of the test images of ``dataset``.

    Published: 3,000 images, deterministic DDIM with 100 steps.
    """
    spatial = tuple(dict.fromkeys(c for u in method.uses for c in u.conditions if c != "text"))
    reference = ("hair", face(profile))  # shown in the galleries beside every sample
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
    return few_images(published, profile)


def unite(*uses: ExpertUse) -> Unite:
    """Unite experts."""
    return Unite(experts=uses)


def guided(run: TrainRun, *conditions: str, weight: float = 1.0) -> ExpertUse:
    """One model under ``conditions``; ``weight`` 2 is classifier-free guidance of strength 2 (Eq. 11 with w = 1)."""
    return ExpertUse(run=run, conditions=conditions, weight=weight)


def _small(run: TrainRun, profile: Profile, seed: int) -> TrainRun:
    """The same run on rendered faces: everything that is smaller than published is here and in ``_data``."""
    model, steps = run.model, MINI_STEPS if profile == "mini" else 6
    assert isinstance(model, DenoiserConfig)
    spatial = model.conditions.spatial
    embedding = ("text", 64) if model.conditions.embedding else None
    conditions = ConditionConfig(spatial=spatial, embedding=embedding)
    network = mini_unet(3 + sum(c for _, c in spatial), 3, embedding_dim=64 if embedding else None)
    return replace(
        run,
        model=replace(
            model,
            network=network,
            conditions=conditions,
            image_size=32 if profile == "mini" else 16,
            schedule="cosine",
            prediction="z0",  # on short budgets: in 24 channels a clean image fits, noise does not
            min_snr=5.0,
            learned_variance=False,
            optimizer=OptimizerConfig(lr=2.5e-3, betas=(0.9, 0.99), warmup_steps=50, decay_steps=steps),
        ),
        batch_size=32 if profile == "mini" else 4,
        trainer=TrainerConfig(
            max_steps=steps,
            ema_decay=0.99,
            gradient_clip_val=1.0,
            checkpoint_every=100 if profile == "mini" else 2,
        ),
        embedder=image_text_model(profile) if embedding else None,
    )


def _data(profile: Profile, dataset: str, *conditions: str) -> DataConfig:
    size = {"paper": 256, "mini": 32, "smoke": 16}[profile]
    captions: CaptionKind | None = "celeba-dialog" if "caption" in conditions else None
    return DataConfig(dataset=dataset, image_size=size, conditions=conditions, captions=captions)
