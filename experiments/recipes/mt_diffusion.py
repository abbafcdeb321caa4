"""MT-Diffusion's models, the ADM rows beside them, and their samples: as published, and what mini and smoke make smaller.

Published: Sec. 4 and App. E of the paper (ICLR 2024). It leaves open the number of optimizer steps (but for "1M iteration" of
Table 2), the sampler, the guidance scale and the length of every fine-tuning: what stands here is named in DEVIATIONS.
"""

from dataclasses import replace
from typing import Literal

from datamodules.batches.masking import MaskConfig
from datamodules.config import DataConfig
from experiments.recipes.evaluators import object_captions
from experiments.recipes.profiles import few_images, with_steps
from experiments.spec import Profile, SampleRun, TrainerConfig, TrainRun, seeded
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding, Label, MaskedImage, Modality
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.methods.single import Denoise, RealImages
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import released_sampler
from lightning_mmdiff.models.noisy_classifier import NoisyClassifierConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.presets import adm_64, adm_128, adm_classifier, mini_classifier, mini_unet
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.schedules import Sampler, ScheduleName

Size = Literal[64, 128]
"""Pixels at paper: Tables 5 and 6 have 64, Table 7 has 128. mini has 16 for all."""
MINI_STEPS = {16: 1200, 32: 500}
"""Optimizer steps of a training at mini, by the side of its images: in equal time, small images give the better experiment."""
MINI_TUNING, MINI_TUNING_RATE = 360, 6.25e-4
"""Optimizer steps and learning rate of a fine-tuning at mini."""
GPUS = 8
"""Of the paper's machine (App. E); its batch sizes are those of one, as in the code it names: 75 cannot be shared by 8."""
IN_TURN = 8
"""Training steps from one in which the network encodes classes to the next, where it does so in turn."""
PUBLISHED_TUNING = 100_000
"""The paper gives none."""
DEVIATIONS = (
    "Weights of the aggregation: a~ = sqrt(alpha_bar) t/T, not the printed t/(1000 - t), with which sampling from N(0, I) "
    "collapses (PITFALLS.md).",
    "Not in the paper, chosen here: learned variance as ADM's, 10 % complete masks in training (so that generation from one is "
    "not out of distribution), 250 respaced ancestral steps, 100,000 steps of fine-tuning.",
)


def adm(profile: Profile, seed: int, *, label: bool, size: Size = 64) -> TrainRun:
    """ADM alone: unconditional, or class-conditional (10 % of the labels dropped, so that it also knows no class)."""
    classes = num_classes(profile) if label else None
    model = DenoiserConfig(
        network=network_of(profile, size, classes=classes),
        conditions=ConditionConfig(label=("label", classes) if classes else None),
        image_size=pixels(profile, size),
        subsets=((("label",), 0.9), ((), 0.1)) if label else (),
        **loss_and_optimizer(profile, size),
    )
    name = "adm-class" if label else "adm"
    return train_run(
        profile, seed, f"{name}-{pixels(profile, size)}", model, images(profile, size, *(("label",) if label else ()))
    )


def masked_image(
    profile: Profile, seed: int, *, concatenate: bool = True, aggregation: Aggregation = "consistent", size: Size = 64,
    label: bool = False, name: str | None = None,
) -> TrainRun:  # fmt: skip
    """Image and masked image together (Sec. 4.1, App. E.2): -X reads the masked image too, -U only z_t.

    With ``label`` the network is told the class, as class-conditional ADM is.
    """
    classes = num_classes(profile) if label else None
    model = MTDiffusionConfig(
        network=network_of(profile, size, in_channels=6 if concatenate else 3, classes=classes),
        label_dropout=0.1 if label else None,
        modalities=(MaskedImage(concatenate=concatenate),),
        aggregation=aggregation,
        image_size=pixels(profile, size),
        **loss_and_optimizer(profile, size),
    )
    name = name or ("mt-x" if concatenate else "mt-u")
    conditions = ("masked_image", "label") if label else ("masked_image",)
    data = images(profile, size, *conditions, masks=training_masks(profile))
    return train_run(profile, seed, f"{name}-{pixels(profile, size)}", model, data)


def image_label(
    profile: Profile, seed: int, *, head: Literal["middle", "output"], hide: float = 0.0, renew_every: int | None = None
) -> TrainRun:
    """Image and class together (Sec. 4.2, App. E.3): -M reads the class off the middle block, -E off the output."""
    classes = num_classes(profile)
    side = pixels(profile, 64)
    classifier = adm_classifier(64) if profile == "paper" else mini_classifier(classes, image_size=side)
    label = Label(
        num_classes=classes, head=head, hide_fraction=hide, classifier=classifier if head == "output" else None,
        renew_every=renew_every,
    )  # fmt: skip
    model = MTDiffusionConfig(
        network=network_of(profile, 64, classes=classes),
        modalities=(label,),
        image_size=pixels(profile, 64),
        **loss_and_optimizer(profile, 64),
    )
    name = ("mt-m" if head == "middle" else "mt-e") + ("-hidden" if hide else "") + ("-in-turn" if renew_every else "")
    run = train_run(profile, seed, f"{name}-{pixels(profile, 64)}", model, images(profile, 64, "label"))
    return replace(run, batch_size=GPUS * 75) if profile == "paper" else run


def several_tasks(profile: Profile, seed: int, *tasks: str) -> TrainRun:
    """The image and any of masked image, caption, random caption and label, each with an encoder of its own (App. E.5)."""
    width = 512 if profile == "paper" else 64
    caption = Embedding(
        name="caption", dim=width, source="text", encoder="projection", condition="caption", width=4 * width
    )
    modalities: dict[str, Modality] = {
        "masked_image": MaskedImage(),
        "caption": caption,
        "random_caption": replace(caption, name="random_caption", shuffled=True),
        "label": Label(num_classes=num_classes(profile), encoder="table"),
    }
    model = MTDiffusionConfig(
        network=network_of(profile, 64),
        modalities=tuple(modalities[task] for task in tasks),
        image_size=pixels(profile, 64),
        **loss_and_optimizer(profile, 64),
    )
    words = "caption" in tasks or "random_caption" in tasks
    wanted = dict.fromkeys(task.removeprefix("random_") for task in tasks)
    data = images(profile, 64, *wanted, masks=training_masks(profile) if "masked_image" in tasks else None)
    name = "mt-five-tasks" if len(tasks) > 1 else f"mt-{tasks[0].replace('_', '-')}-task"
    run = train_run(profile, seed, f"{name}-{pixels(profile, 64)}", model, data)
    embedder = Released("farl") if profile == "paper" else object_captions(profile)
    return replace(run, embedder=embedder) if words else run


def restoration_alone(profile: Profile, seed: int) -> TrainRun:
    """A purely conditional model of the image given the masked image (App. E.5): reads it, never gives it back."""
    model = DenoiserConfig(
        network=network_of(profile, 64, in_channels=6),
        conditions=ConditionConfig(spatial=(("masked_image", 3),)),
        image_size=pixels(profile, 64),
        **loss_and_optimizer(profile, 64),
    )
    data = images(profile, 64, "masked_image", masks=training_masks(profile))
    return train_run(profile, seed, f"restoration-alone-{pixels(profile, 64)}", model, data)


def shortened(run: TrainRun, share: float) -> TrainRun:
    """``run`` with a share of its optimizer steps, its learning rate falling accordingly."""
    steps = max(1, round(run.trainer.max_steps * share))
    if steps == run.trainer.max_steps:
        return run
    return replace(with_steps(run, steps), name=seeded(f"{run.name.split('-seed')[0]}-{steps}-steps", run.seed))


def tuned(
    profile: Profile, run: TrainRun, name: str, *, tasks: tuple[str, ...] | None = None, steps: int | None = None,
    constant: bool = False,
) -> TrainRun:  # fmt: skip
    """``run`` trained further, on ``tasks`` alone: the rows "*" and "f". ``constant``: the learning rate does not fall."""
    steps = steps or {"paper": PUBLISHED_TUNING, "mini": MINI_TUNING, "smoke": 2}[profile]
    model = run.model
    assert isinstance(model, DenoiserConfig | MTDiffusionConfig)
    decay = None if profile == "paper" or constant else steps
    rate = model.optimizer.lr if profile == "paper" else MINI_TUNING_RATE
    model = replace(model, optimizer=replace(model.optimizer, lr=rate, decay_steps=decay))
    if tasks is not None:
        assert isinstance(model, MTDiffusionConfig)
        model = replace(model, tasks=tasks)
    return replace(
        run, name=seeded(name, run.seed), model=model, initial=run,
        trainer=replace(run.trainer, max_steps=steps),
    )  # fmt: skip


def noisy_classifier(profile: Profile, seed: int, *, size: Size = 64, noised: bool = True) -> TrainRun:
    """ADM's classifier, of noisy images for guidance; of clean ones it is the evaluator of objects at mini."""
    side, classes = pixels(profile, size), num_classes(profile)
    if profile == "paper":
        network, optimizer = adm_classifier(size), OptimizerConfig(lr=3e-4, weight_decay=0.05, decay_steps=300_000)
        trainer = TrainerConfig(max_steps=300_000, precision="16-mixed", devices=GPUS, checkpoint_every=2000)
    else:
        steps = {"mini": 600, "smoke": 4}[profile]
        network = mini_classifier(classes, image_size=side)
        optimizer = OptimizerConfig(
            lr=2e-3, betas=(0.9, 0.99), weight_decay=0.05, warmup_steps=min(50, steps), decay_steps=steps
        )
        trainer = TrainerConfig(
            max_steps=steps, checkpoint_every=100 if profile == "mini" else 2, gradient_clip_val=1.0
        )
    model = NoisyClassifierConfig(
        network=network, noised=noised, schedule=_schedule(profile, size), optimizer=optimizer
    )
    return TrainRun(
        name=seeded(f"{'noisy' if noised else 'object'}-classifier-{pixels(profile, size)}", seed if noised else 0),
        model=model,
        data=(images(profile, size, "label"),),
        batch_size={"paper": 256, "mini": 64, "smoke": 4}[profile],
        trainer=trainer,
        seed=seed if noised else 0,
    )


def sampled(
    profile: Profile, name: str, method: MethodConfig, data: DataConfig, *, num_images: int = 5000
) -> SampleRun:
    """Images of one method under the conditions in ``data``; ``num_images`` at paper."""
    run = method.needs[0] if method.needs else None
    ancestral = Sampler(name="spaced-ddpm", num_steps=250, variance="learned_range")
    sampler = released_sampler() if run and run.autoencoder else ancestral
    published = SampleRun(
        name=seeded(name, run.seed if run else 0),
        method=method,
        data=data,
        num_images=num_images,
        sampler=sampler if method.takes_sampler else None,
        seed=run.seed if run else 0,
    )
    return few_images(published, profile)


def generated_or_real(run: TrainRun | None) -> MethodConfig:
    """Samples of a model, or without one the real images."""
    return RealImages() if run is None else Denoise(model=run)


def images(profile: Profile, size: Size, *conditions: str, masks: MaskConfig | None = None) -> DataConfig:
    """ImageNet, or rendered objects in its layout."""
    return DataConfig(dataset="imagenet", image_size=pixels(profile, size), conditions=conditions, masks=masks)


def with_holes(profile: Profile, size: Size, patches: int, *conditions: str) -> DataConfig:
    """Test images with a fixed number of holes."""
    masks = MaskConfig(low=patches, high=patches, patch=patch(profile))
    return images(profile, size, "masked_image", *conditions, masks=masks)


def training_masks(profile: Profile) -> MaskConfig:
    """Holes of the training images: 0 to 10 patches (Sec. 4.1), and complete masks, from which -X generates."""
    return MaskConfig(low=0, high=10, patch=patch(profile), complete=0.1)


def patch(profile: Profile) -> int:
    """Side of a patch in pixels: 16 of 64, and the same share of smaller images."""
    return {"paper": 16, "mini": 4, "smoke": 4}[profile]


def pixels(profile: Profile, size: Size) -> int:
    """Side of an image."""
    return {"paper": size, "mini": 16, "smoke": 16}[profile]


def num_classes(profile: Profile) -> int:
    """Classes of the data."""
    return 1000 if profile == "paper" else 10


def network_of(profile: Profile, size: Size, *, in_channels: int = 3, classes: int | None = None) -> UNetConfig:
    """ADM's network, or that of mini."""
    if profile != "paper":
        return mini_unet(in_channels, 3, num_classes=classes)
    network = adm_64(num_classes=classes) if size == 64 else adm_128(num_classes=classes)
    return replace(network, in_channels=in_channels)


def _schedule(profile: Profile, size: Size) -> ScheduleName:
    return "linear" if profile == "paper" and size == 128 else "cosine"


def loss_and_optimizer(profile: Profile, size: Size) -> dict:
    """Loss and optimizer that all rows share, as the paper asks ("exactly the same hyperparameters")."""
    if profile == "paper":
        return {
            "schedule": _schedule(profile, size), "prediction": "eps", "learned_variance": True,
            "optimizer": OptimizerConfig(lr=7e-5),
        }  # fmt: skip
    optimizer = OptimizerConfig(lr=2.5e-3, betas=(0.9, 0.99))
    return {"schedule": "cosine", "prediction": "z0", "min_snr": 5.0, "optimizer": optimizer}


def train_run(
    profile: Profile, seed: int, name: str, model: DenoiserConfig | MTDiffusionConfig, data: DataConfig
) -> TrainRun:
    """Training of ``model`` as all rows are trained; below paper its learning rate falls to zero."""
    if profile == "paper":
        trainer = TrainerConfig(
            max_steps=1_000_000, precision="16-mixed", devices=GPUS, ema_decay=0.9999, checkpoint_every=2000
        )
    else:
        steps = MINI_STEPS[model.image_size] if profile == "mini" else 6
        optimizer = replace(model.optimizer, warmup_steps=min(50, steps), decay_steps=steps)
        model = replace(model, optimizer=optimizer)
        every = 100 if profile == "mini" else 2
        trainer = TrainerConfig(max_steps=steps, ema_decay=0.99, gradient_clip_val=1.0, checkpoint_every=every)
    batch = {"paper": GPUS * 80, "mini": 32, "smoke": 4}[profile]
    return TrainRun(name=seeded(name, seed), model=model, data=(data,), batch_size=batch, trainer=trainer, seed=seed)
