"""MT-Diffusion's models, and the ADM models and classifiers they are compared with (ICLR 2024, Sec. 4 and App. E).

Their images, training and samples are in ``mt_shared.py``, the numbers in ``settings/mt_diffusion.py``; DEVIATIONS names
everything that is not from the paper.
"""

from dataclasses import replace
from typing import Literal

from experiments.recipes.evaluators import object_captions
from experiments.recipes.mt_shared import COMPLETE, images, loss_and_optimizer, network_of, train_run, training_masks
from experiments.recipes.profiles import with_steps
from experiments.recipes.settings.mt_diffusion import Size, of
from experiments.runs import TrainRun, seeded
from experiments.spec import Profile
from lightning_mmdiff.methods.mt_diffusion.aggregation import Aggregation
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding, Label, MaskedImage, Modality
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.noisy_classifier import NoisyClassifierConfig
from lightning_mmdiff.networks.conditions import ConditionConfig

IN_TURN = 8
"""Interval, in training steps, at which the network encodes classes if it does so in turn."""
DEVIATIONS = (
    "Weights of the aggregation: a~ = sqrt(alpha_bar) t/T, not the printed t/(1000 - t), with which sampling from N(0, I) "
    "collapses (PITFALLS.md).",
    "Not in the paper, chosen here: learned variance as ADM's, 10 % complete masks in training (so that generation from one is "
    "not out of distribution), 250 respaced ancestral steps, 100,000 steps of fine-tuning.",
)


def adm(profile: Profile, seed: int, *, label: bool, size: Size = 64) -> TrainRun:
    """Return ADM alone: unconditional, or class-conditional (10 % of labels dropped, to learn the unconditional case too).

    Args:
        profile: profile of the run.
        seed: training seed.
        label: whether the network is given the class.
        size: image size at paper, in pixels.
    """
    settings = of(profile)
    classes = settings.num_classes if label else None
    model = DenoiserConfig(
        network=network_of(profile, size, classes=classes),
        conditions=ConditionConfig(label=("label", classes) if classes else None),
        image_size=settings.objects(size).image_size,
        subsets=((("label",), 0.9), ((), 0.1)) if label else (),
        **loss_and_optimizer(profile, size),
    )
    name = "adm-class" if label else "adm"
    data = images(profile, size, *(("label",) if label else ()))
    return train_run(profile, seed, name, model, data)


def masked_image(
    profile: Profile, seed: int, *, concatenate: bool = True, aggregation: Aggregation = "consistent", size: Size = 64,
    label: bool = False, complete: float = COMPLETE, name: str | None = None,
) -> TrainRun:  # fmt: skip
    """Return image and masked image together (Sec. 4.1, App. E.2).

    Args:
        profile: profile of the run.
        seed: training seed.
        concatenate: whether the network also reads the masked image (-X), or only z_t (-U).
        aggregation: how modalities are aggregated.
        size: image size at paper, in pixels.
        label: whether the network is given the class, as class-conditional ADM is.
        complete: share of training images that are hidden completely, as all are in generation.
        name: name of the run; None is "mt-x" or "mt-u".
    """
    settings = of(profile)
    classes = settings.num_classes if label else None
    model = MTDiffusionConfig(
        network=network_of(profile, size, in_channels=6 if concatenate else 3, classes=classes),
        label_dropout=0.1 if label else None,
        modalities=(MaskedImage(concatenate=concatenate),),
        aggregation=aggregation,
        image_size=settings.objects(size).image_size,
        **loss_and_optimizer(profile, size),
    )
    name = name or ("mt-x" if concatenate else "mt-u")
    conditions = ("masked_image", "label") if label else ("masked_image",)
    data = images(profile, size, *conditions, masks=training_masks(profile, complete))
    return train_run(profile, seed, name, model, data)


def image_label(
    profile: Profile, seed: int, *, head: Literal["middle", "output"], hide: float = 0.0, renew_every: int | None = None
) -> TrainRun:
    """Return image and class together (Sec. 4.2, App. E.3): -M reads the class off the middle block, -E off the output.

    Args:
        profile: profile of the run.
        seed: training seed.
        head: where the class is read off.
        hide: fraction of the training images whose class is hidden from the network.
        renew_every: interval, in training steps, at which the network encodes classes; None encodes them at every step.
    """
    settings = of(profile)
    label = Label(
        num_classes=settings.num_classes, head=head, hide_fraction=hide,
        classifier=settings.objects_64.classifier if head == "output" else None, renew_every=renew_every,
    )  # fmt: skip
    model = MTDiffusionConfig(
        network=network_of(profile, 64, classes=settings.num_classes),
        modalities=(label,),
        image_size=settings.objects_64.image_size,
        **loss_and_optimizer(profile, 64),
    )
    name = ("mt-m" if head == "middle" else "mt-e") + ("-hidden" if hide else "") + ("-in-turn" if renew_every else "")
    run = train_run(profile, seed, name, model, images(profile, 64, "label"))
    return replace(run, batch_size=settings.label_batch_size)


def several_tasks(profile: Profile, seed: int, *tasks: str) -> TrainRun:
    """Return the image with any of masked image, caption, random caption and label, each with its own encoder (App. E.5)."""
    settings = of(profile)
    width = settings.caption_dim
    caption = Embedding(
        name="caption", dim=width, source="text", encoder="projection", condition="caption", width=4 * width
    )
    modalities: dict[str, Modality] = {
        "masked_image": MaskedImage(),
        "caption": caption,
        "random_caption": replace(caption, name="random_caption", shuffled=True),
        "label": Label(num_classes=settings.num_classes, encoder="table"),
    }
    model = MTDiffusionConfig(
        network=network_of(profile, 64),
        modalities=tuple(modalities[task] for task in tasks),
        image_size=settings.objects_64.image_size,
        **loss_and_optimizer(profile, 64),
    )
    words = "caption" in tasks or "random_caption" in tasks
    wanted = dict.fromkeys(task.removeprefix("random_") for task in tasks)
    data = images(profile, 64, *wanted, masks=training_masks(profile) if "masked_image" in tasks else None)
    name = "mt-five-tasks" if len(tasks) > 1 else f"mt-{tasks[0].replace('_', '-')}-task"
    run = train_run(profile, seed, name, model, data)
    return replace(run, embedder=object_captions(profile) if words else None)


def restoration_alone(profile: Profile, seed: int) -> TrainRun:
    """Return a purely conditional model of the image given the masked image (App. E.5), which is only an input."""
    settings = of(profile)
    model = DenoiserConfig(
        network=network_of(profile, 64, in_channels=6),
        conditions=ConditionConfig(spatial=(("masked_image", 3),)),
        image_size=settings.objects_64.image_size,
        **loss_and_optimizer(profile, 64),
    )
    data = images(profile, 64, "masked_image", masks=training_masks(profile))
    return train_run(profile, seed, "restoration-alone", model, data)


def shortened(run: TrainRun, share: float) -> TrainRun:
    """Return ``run`` with a share of its optimizer steps, its learning rate falling accordingly."""
    steps = max(1, round(run.trainer.max_steps * share))
    if steps == run.trainer.max_steps:
        return run
    return replace(with_steps(run, steps), name=seeded(f"{run.name.split('-seed')[0]}-{steps}-steps", run.seed))


def tuned(
    profile: Profile, run: TrainRun, name: str, *, tasks: tuple[str, ...] | None = None, steps: int | None = None,
    constant: bool = False,
) -> TrainRun:  # fmt: skip
    """Return ``run`` trained further: rows "*" and "f".

    Args:
        profile: profile of the run.
        run: training run to start from.
        name: name of the new run.
        tasks: tasks to train on; None keeps those of ``run``.
        steps: number of further optimizer steps; None takes the profile's.
        constant: whether the learning rate stays constant, even where the profile lets it fall.
    """
    tuning = of(profile).tuning
    steps = steps or tuning.steps
    model = run.model
    assert isinstance(model, DenoiserConfig | MTDiffusionConfig)
    decay = steps if tuning.falls and not constant else None
    optimizer = replace(model.optimizer, lr=tuning.lr or model.optimizer.lr, decay_steps=decay)
    model = replace(model, optimizer=optimizer)
    if tasks is not None:
        assert isinstance(model, MTDiffusionConfig)
        model = replace(model, tasks=tasks)
    return replace(
        run, name=seeded(name, run.seed), model=model, initial=run,
        trainer=replace(run.trainer, max_steps=steps),
    )  # fmt: skip


def noisy_classifier(profile: Profile, seed: int, *, size: Size = 64, noised: bool = True) -> TrainRun:
    """Return ADM's classifier: of noisy images for guidance, or of clean ones as the object evaluator at mini.

    Args:
        profile: profile of the run.
        seed: training seed; the object evaluator always has 0.
        size: image size at paper, in pixels.
        noised: whether the classifier sees noisy images.
    """
    settings = of(profile)
    objects, training = settings.objects(size), settings.classifier
    return TrainRun(
        name=seeded(f"{'noisy' if noised else 'object'}-classifier-{objects.image_size}", seed if noised else 0),
        model=NoisyClassifierConfig(
            network=objects.classifier, noised=noised, schedule=objects.loss.schedule, optimizer=training.optimizer
        ),
        data=(images(profile, size, "label"),),
        batch_size=training.batch_size,
        trainer=training.trainer,
        seed=seed if noised else 0,
    )
