"""Ways to condition on a label, on scikit-learn's digits (lecture, Bereyhi 2025): models, samples and evaluator.

Besides the diffusion models there are a GAN and a VAE. The lecture prints no numbers and no settings, so nothing here is
published: ``settings/lecture.py`` has ours. Digits stay at their own 8 x 8 pixels. Rows are compared at one budget of optimizer
steps; the ten models of label sampling share it.
"""

from dataclasses import replace

from datamodules.config import DataConfig
from experiments.protocols.catalogue import column
from experiments.recipes.profiles import few_images
from experiments.recipes.settings.lecture import of
from experiments.runs import SampleRun, TrainerConfig, TrainRun, seeded
from experiments.spec import Metric, Profile
from lightning_mmdiff.baselines.label_gan import LabelGANConfig
from lightning_mmdiff.baselines.label_networks import LabelLayers, LabelNetworkConfig
from lightning_mmdiff.baselines.label_vae import LabelVAEConfig
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.label_sampling import SampleByLabel
from lightning_mmdiff.methods.single import Denoise, RealImages
from lightning_mmdiff.models.config import ModelConfig
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
FILM = ClassLayerConfig(kind="film", dim=32)
CROSS_ATTENTION = ClassLayerConfig(kind="cross-attention", dim=32, num_tokens=4, num_heads=2)
COLUMNS = (
    "Label-DigitClassifier", "FD-DigitClassifier", "FD-EffNetLite0", "KID-EffNetLite0", "Copies-EffNetLite0",
    "MillionParameters", "MillisecondsPerImage",
)  # fmt: skip


def metrics() -> tuple[Metric, ...]:
    """Return all columns; the lecture names none, so each has the name of its protocol."""
    return tuple(column(name) for name in COLUMNS)


def digits(*conditions: str) -> DataConfig:
    """Return the 1,500 digits for training and the 297 for testing."""
    return DataConfig(dataset="digits", image_size=PIXELS, conditions=conditions)


def unconditional(profile: Profile, seed: int, budget: int) -> TrainRun:
    """Return the training run without labels."""
    return _run(profile, seed, "digits-unconditional", _network(profile), digits(), budget)


def of_each_label(profile: Profile, seed: int, budget: int, *, small: bool = False) -> tuple[TrainRun, ...]:
    """Return label sampling's models of the digits 0 to 9, each trained on its own images with a tenth of the budget.

    Args:
        profile: profile of the runs.
        seed: training seed.
        budget: optimizer steps of all ten models together.
        small: whether the models are a third as wide.
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
    """Return the training run of one model given the label.

    Args:
        profile: profile of the run.
        seed: training seed.
        budget: optimizer steps.
        name: name of the run, after "digits-".
        layers: layers that take the label; None adds it to the timestep's features.
    """
    network = replace(_network(profile), num_classes=CLASSES, class_layers=layers)
    return _run(profile, seed, f"digits-{name}", network, digits("label"), budget)


def gan(profile: Profile, seed: int, budget: int, layers: LabelLayers) -> TrainRun:
    """Return the training run of a GAN whose two networks read the label.

    Args:
        profile: profile of the run.
        seed: training seed.
        budget: optimizer steps of each network.
        layers: how they read it.
    """
    rate = OptimizerConfig(lr=of(profile).adversarial_lr, betas=(0.5, 0.99))
    network = _label_networks(profile, layers)
    model = LabelGANConfig(image_size=PIXELS, network=network, optimizer=rate, discriminator_optimizer=rate)
    run = _training(profile, seed, f"digits-gan-{layers}", model, budget)
    return replace(run, trainer=replace(run.trainer, gradient_clip_val=None))


def vae(profile: Profile, seed: int, budget: int, layers: LabelLayers) -> TrainRun:
    """Return the training run of a VAE whose two networks read the label.

    Args:
        profile: profile of the run.
        seed: training seed.
        budget: optimizer steps.
        layers: how they read it.
    """
    model = LabelVAEConfig(network=_label_networks(profile, layers), optimizer=_optimizer(profile, budget))
    return _training(profile, seed, f"digits-vae-{layers}", model, budget)


def evaluator(profile: Profile) -> TrainRun:
    """Return the classifier of real digits."""
    steps = of(profile).evaluator_steps
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
        batch_size=of(profile).batch_size,
        trainer=TrainerConfig(max_steps=steps, gradient_clip_val=1.0, checkpoint_every=max(2, steps // 5)),
    )


def generated(profile: Profile, name: str, seed: int, *runs: TrainRun) -> SampleRun:
    """Return the run that samples digits for the labels of the test digits.

    Args:
        profile: profile of the run.
        name: name of the run.
        seed: sampling seed.
        *runs: one model, or the ten of label sampling in the order of their labels; none gives the real digits.
    """
    method: MethodConfig = RealImages()
    if runs:
        method = Denoise(model=runs[0]) if len(runs) == 1 else SampleByLabel(models=runs)
    return drawn(profile, name, seed, method)


def drawn(profile: Profile, name: str, seed: int, method: MethodConfig) -> SampleRun:
    """Return the run in which ``method`` makes digits for the labels of the test digits.

    Args:
        profile: profile of the run.
        name: name of the run.
        seed: sampling seed.
        method: makes the digits.
    """
    published = SampleRun(
        name=seeded(name, seed),
        method=method,
        data=digits("label"),
        num_images=2970,
        shard_size=297,
        sampler=Sampler(name="ddim", num_steps=50) if method.takes_sampler else None,
        seed=seed,
    )
    return few_images(published, of(profile).samples)


def _network(profile: Profile, *, small: bool = False) -> UNetConfig:
    """Return ``mini_unet`` without patches, working at 8, 4 and 2 pixels."""
    return replace(mini_unet(3, 3), patch_size=1, channels=of(profile).channels // (3 if small else 1))


def _label_networks(profile: Profile, layers: LabelLayers) -> LabelNetworkConfig:
    """Return the networks of GAN and VAE, with twice the U-Net's channels, as they have far fewer layers."""
    return LabelNetworkConfig(
        image_size=PIXELS, num_classes=CLASSES, label_layers=layers, channels=2 * of(profile).channels
    )


def _run(profile: Profile, seed: int, name: str, network: UNetConfig, data: DataConfig, steps: int) -> TrainRun:
    model = DenoiserConfig(
        network=network,
        conditions=ConditionConfig(label=("label", CLASSES) if network.num_classes else None),
        image_size=PIXELS,
        schedule="cosine",
        prediction="z0",
        min_snr=5.0,
        optimizer=_optimizer(profile, steps),
    )
    return replace(_training(profile, seed, name, model, steps), data=(data,))


def _optimizer(profile: Profile, steps: int) -> OptimizerConfig:
    return OptimizerConfig(lr=of(profile).lr, betas=(0.9, 0.99), warmup_steps=min(50, steps // 4), decay_steps=steps)


def _training(profile: Profile, seed: int, name: str, model: ModelConfig, steps: int) -> TrainRun:
    """Return the training of ``model`` on digits with their labels.

    Args:
        profile: profile of the run.
        seed: training seed.
        name: start of the name of the run.
        model: what is trained.
        steps: optimizer steps.
    """
    settings = of(profile)
    trainer = TrainerConfig(
        max_steps=steps, ema_decay=0.99, gradient_clip_val=1.0, checkpoint_every=settings.checkpoint_every
    )
    return TrainRun(
        name=seeded(f"{name}-{steps}-steps", seed), model=model, data=(digits("label"),),
        batch_size=settings.batch_size, trainer=trainer, seed=seed,
    )  # fmt: skip
