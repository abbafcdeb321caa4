"""Ways to condition on a label, on scikit-learn's digits (lecture, Bereyhi 2025): the models, their samples, their evaluator.

The lecture prints no numbers and no settings, so nothing here is published: ``paper`` is a longer training of wider
networks on the same digits. Digits stay at their own 8 x 8 pixels. Rows are compared at one budget of optimizer steps; the
ten models of label sampling share it.
"""

from dataclasses import replace

from experiments.protocols.catalogue import column
from experiments.recipes.profiles import few_images
from experiments.spec import DataConfig, ExpertUse, Metric, Profile, SampleRun, TrainerConfig, TrainRun, seeded
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.evaluators import Degradation
from lightning_mmdiff.models.noisy_classifier import NoisyClassifierConfig
from lightning_mmdiff.networks.class_layers import ClassLayerConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.presets import mini_classifier, mini_unet
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import Sampler

PIXELS = 8
CLASSES = 10
BUDGETS = {"paper": (20_000, 5_000), "mini": (1000, 250), "smoke": (20, 10)}
"""Optimizer steps of a row, all its models together: two lengths of training, each a training of its own."""
BATCH = {"paper": 64, "mini": 32, "smoke": 4}
WIDTH = {"paper": 48, "mini": 24, "smoke": 24}
"""Channels of the U-Net; a third of it has about a tenth of the parameters."""
FILM = ClassLayerConfig(kind="film", dim=32)
CROSS_ATTENTION = ClassLayerConfig(kind="cross-attention", dim=32, num_tokens=4, num_heads=2)
COLUMNS = (
    "Label-DigitClassifier", "FD-DigitClassifier", "FD-EffNetLite0", "MillionParameters", "MillisecondsPerImage"
)  # fmt: skip


def metrics() -> tuple[Metric, ...]:
    """All columns; the lecture names none, so each has the name of its protocol."""
    return tuple(column(name) for name in COLUMNS)


def digits(*conditions: str) -> DataConfig:
    """The 1,500 digits to train on and the 297 to test on."""
    return DataConfig(dataset="digits", image_size=PIXELS, conditions=conditions)


def unconditional(profile: Profile, seed: int, budget: int) -> TrainRun:
    """Told nothing."""
    return _run(profile, seed, "digits-unconditional", _network(profile), digits(), budget)


def of_each_label(profile: Profile, seed: int, budget: int, *, small: bool = False) -> tuple[TrainRun, ...]:
    """Label sampling's models of the digits 0 to 9: each trained on its own images, a tenth of the budget.

    ``small``: a third as wide.
    """
    kind = "-small" if small else ""
    return tuple(
        _run(
            profile, seed, f"digits-only-{label}{kind}", _network(profile, small=small),
            replace(digits(), only_class=label), budget // CLASSES,
        )
        for label in range(CLASSES)
    )  # fmt: skip


def with_label(profile: Profile, seed: int, budget: int, name: str, layers: ClassLayerConfig | None) -> TrainRun:
    """One model told the label: by ``layers``, or added to the timestep's features."""
    network = replace(_network(profile), num_classes=CLASSES, class_layers=layers)
    return _run(profile, seed, f"digits-{name}", network, digits("label"), budget)


def evaluator(profile: Profile) -> TrainRun:
    """Classifier of real digits."""
    steps = {"paper": 2000, "mini": 500, "smoke": 4}[profile]
    optimizer = OptimizerConfig(
        lr=2e-3, betas=(0.9, 0.99), weight_decay=0.05, warmup_steps=min(50, steps), decay_steps=steps
    )
    model = NoisyClassifierConfig(
        network=replace(mini_classifier(CLASSES, image_size=PIXELS), patch_size=1),
        noised=False,
        degradation=Degradation(),
        optimizer=optimizer,
    )
    return TrainRun(
        name=f"digit-classifier-{PIXELS}",
        model=model,
        data=(digits("label"),),
        batch_size=BATCH[profile],
        trainer=TrainerConfig(max_steps=steps, gradient_clip_val=1.0, checkpoint_every=max(2, steps // 5)),
    )


def generated(profile: Profile, name: str, seed: int, *runs: TrainRun) -> SampleRun:
    """Digits for the labels of the test digits, by one model, or by the ten of label sampling in the order of their labels.

    Without a model: the real digits.
    """
    told = ("label",) if len(runs) == 1 and "label" in runs[0].data[0].conditions else ()
    published = SampleRun(
        name=seeded(name, seed),
        method="real" if not runs else "denoise" if len(runs) == 1 else "label_sampling",
        experts=tuple(ExpertUse(run=run, conditions=told) for run in runs),
        data=digits("label"),
        num_images=2970,
        shard_size=297,
        sampler=Sampler(name="ddim", num_steps=50),
        seed=seed,
    )
    return few_images(published, profile, mini=297, smoke=30)


def _network(profile: Profile, *, small: bool = False) -> UNetConfig:
    """``mini_unet`` without patches: works at 8, 4 and 2 pixels."""
    return replace(mini_unet(3, 3), patch_size=1, channels=WIDTH[profile] // (3 if small else 1))


def _run(profile: Profile, seed: int, name: str, network: UNetConfig, data: DataConfig, steps: int) -> TrainRun:
    lr = {"paper": 1e-3, "mini": 2.5e-3, "smoke": 2.5e-3}[profile]
    model = DenoiserConfig(
        network=network,
        conditions=ConditionConfig(label=("label", CLASSES) if network.num_classes else None),
        image_size=PIXELS,
        schedule="cosine",
        prediction="z0",
        min_snr=5.0,
        optimizer=OptimizerConfig(lr=lr, betas=(0.9, 0.99), warmup_steps=min(50, steps // 4), decay_steps=steps),
    )
    trainer = TrainerConfig(
        max_steps=steps, ema_decay=0.99, gradient_clip_val=1.0, checkpoint_every=2 if profile == "smoke" else 200
    )
    return TrainRun(
        name=seeded(f"{name}-{steps}-steps", seed), model=model, data=(data,), batch_size=BATCH[profile],
        trainer=trainer, seed=seed,
    )  # fmt: skip
