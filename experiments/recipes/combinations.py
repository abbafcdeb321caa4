"""Every way to give a mask and a text to a model: fitted reliabilities, one joint model, MT-Diffusion. Not in any paper.

All are trained on the images of the experts, with as much compute as the experts and their dynamic diffusers together.
"""

from dataclasses import replace

from experiments.recipes.collaborative import (
    DIFFUSER_STEPS,
    asked,
    data,
    mask_expert,
    on_captions,
    words_expert,
)
from experiments.recipes.judges import image_text_model
from experiments.recipes.unite_and_conquer import expert
from experiments.spec import Profile, TrainerConfig, TrainRun, seeded
from lightning_mmdiff.methods.denoiser import DenoiserConfig
from lightning_mmdiff.methods.learned_reliability import ReliabilityConfig
from lightning_mmdiff.methods.mt_modalities import Embedding, Picture
from lightning_mmdiff.methods.mt_network import MTDiffusionConfig
from lightning_mmdiff.networks.presets import adm_256, mini_unet
from lightning_mmdiff.optimization import OptimizerConfig

DROP = 0.1
"""Share of images without condition that the latent experts are trained with here: Eq. 10 asks what they say without."""
FIT_STEPS = {"paper": 2000, "mini": 100, "smoke": 6}
"""Batches on which a reliability is fitted."""


def reliability(profile: Profile, seed: int, *, over_time: bool, total_weight: float) -> TrainRun:
    """w_i and a_j of Eq. 10 fitted to the denoising loss, constant or over time; ``total_weight`` 2 is guidance 2."""
    steps = FIT_STEPS[profile]
    config = ReliabilityConfig(
        conditions=(asked(profile, "mask"), asked(profile, "text")),
        num_terms=4 if over_time else 1,
        total_weight=total_weight,
        min_snr=5.0 if profile == "mini" else None,
        optimizer=OptimizerConfig(lr=0.05, betas=(0.9, 0.99), decay_steps=steps),
    )
    return TrainRun(
        name=seeded(f"reliability-{'over-time' if over_time else 'constant'}-{total_weight:g}", seed),
        model=config,
        data=(data(profile, "mask", "caption"),),
        batch_size=4 if profile == "smoke" else 32,
        trainer=TrainerConfig(max_steps=steps, checkpoint_every=max(2, steps // 5)),
        needs=(mask_expert(profile, seed, drop=dropped(profile)), words_expert(profile, seed, drop=dropped(profile))),
        seed=seed,
    )


def dropped(profile: Profile) -> float:
    """Share of images without condition of the experts; those of mini have theirs anyway."""
    return 0.0 if profile == "mini" else DROP


def joint(profile: Profile, seed: int) -> TrainRun:
    """One model that is given mask and text together, in the way of Unite and Conquer; trained as long as all experts."""
    run = expert(profile, seed, "joint-expert", (data(profile, "mask"),), text=True)
    assert isinstance(run.model, DenoiserConfig)
    model = replace(run.model, subsets=((("mask", "text"), 0.875), ((), 0.125)))
    run = _as_long(profile, replace(run, model=model, data=(data(profile, "mask", "caption"),)))
    return on_captions(run) if profile == "mini" else run


def multi_task(profile: Profile, seed: int) -> TrainRun:
    """MT-Diffusion of the image, the picture of its mask (which the network reads too) and the embedding of its caption."""
    width = 512 if profile == "paper" else 64
    run = joint(profile, seed)
    assert isinstance(run.model, DenoiserConfig)
    network = replace(adm_256(num_classes=None), in_channels=6) if profile == "paper" else mini_unet(6, 3)
    text = Embedding(name="text", dim=width, source="text", encoder="projection", condition="caption", width=4 * width)
    model = MTDiffusionConfig(
        network=network,
        modalities=(Picture(name="mask_picture", concatenate=True), text),
        image_size=run.model.image_size,
        schedule=run.model.schedule,
        prediction=run.model.prediction,
        learned_variance=run.model.learned_variance,
        min_snr=run.model.min_snr,
        optimizer=run.model.optimizer,
    )
    embedder = () if profile == "paper" else (image_text_model(profile),)
    return replace(
        run,
        name=seeded("mt-mask-text", seed),
        model=model,
        data=(data(profile, "mask_picture", "caption"),),
        needs=embedder,
    )


def _as_long(profile: Profile, run: TrainRun) -> TrainRun:
    """Two experts' steps, and those of the dynamic diffusers, which cost about one each: two frozen networks forward."""
    assert isinstance(run.model, DenoiserConfig)
    steps = 2 * run.trainer.max_steps + (0 if profile == "paper" else DIFFUSER_STEPS[profile])
    optimizer = run.model.optimizer
    if optimizer.decay_steps is not None:
        optimizer = replace(optimizer, decay_steps=steps)
    return replace(run, model=replace(run.model, optimizer=optimizer), trainer=replace(run.trainer, max_steps=steps))
