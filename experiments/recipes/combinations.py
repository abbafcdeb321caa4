"""Every way to give a mask and a text to a model: fitted reliabilities, one joint model, MT-Diffusion. Not in any paper.

Reliabilities are fitted to validation images, a part of Collaborative Diffusion's training images that no expert of this
comparison sees; the rest train everything else. The experts are therefore trained anew, but otherwise equal Collaborative
Diffusion's; latent ones also learn to work without their condition. The joint models are trained with as much compute as both
experts and their dynamic diffusers together.
"""

from dataclasses import replace

from experiments.recipes.collaborative import (
    as_seen_by,
    collaborated,
    condition_names,
    data,
    diffusers,
    mask_expert,
    mask_token_expert,
    on_captions,
    words_expert,
)
from experiments.recipes.evaluators import image_text_model
from experiments.recipes.profiles import with_steps
from experiments.recipes.settings import unite_and_conquer
from experiments.recipes.settings.combinations import of
from experiments.recipes.unite_and_conquer import expert
from experiments.runs import SampleRun, TrainRun, seeded
from experiments.spec import Profile
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig
from lightning_mmdiff.methods.learned_reliability import ReliabilityConfig
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding, PairedImage
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig
from lightning_mmdiff.optimization import OptimizerConfig

DROP = 0.1
"""Share of images without a condition in training the latent experts here: Eq. 10 needs their unconditional output."""


def reliability(profile: Profile, seed: int, *, over_time: bool, total_weight: float) -> TrainRun:
    """Return the run that fits w_i and a_j of Eq. 10 to the denoising loss.

    Args:
        profile: profile of the run.
        seed: training seed.
        over_time: whether they depend on time or are constant.
        total_weight: sum of the weights; 2 is guidance 2.
    """
    settings, experts = of(profile), _experts(profile, seed)
    steps = settings.fit.trainer.max_steps
    config = ReliabilityConfig(
        conditions=(condition_names(profile, "mask"), condition_names(profile, "text")),
        num_terms=4 if over_time else 1,
        total_weight=total_weight,
        min_snr=settings.fit_min_snr,
        optimizer=OptimizerConfig(lr=0.05, betas=(0.9, 0.99), decay_steps=steps),
    )
    return TrainRun(
        name=seeded(f"reliability-{'over-time' if over_time else 'constant'}-{total_weight:g}", seed),
        model=config,
        data=(replace(as_seen_by(experts, data(profile, "mask", "caption")), split="validation"),),
        batch_size=settings.fit.batch_size,
        trainer=settings.fit.trainer,
        experts=experts,
        seed=seed,
    )


def experts(profile: Profile, seed: int) -> tuple[ExpertUse, ...]:
    """Return the mask and text experts, each conditioned on its modality."""
    modalities = condition_names(profile, "mask", "text")
    return tuple(ExpertUse(run=run, conditions=(name,)) for run, name in zip(_experts(profile, seed), modalities))


def across_spaces(profile: Profile, seed: int) -> tuple[ExpertUse, ...]:
    """Return one expert that diffuses pixels and one that diffuses latents: the table's own, and a new one of the other space.

    At paper, where experts are latent, the new one draws pixels from masks; else it draws latents from mask tokens.
    """
    mask, text = experts(profile, seed)
    if mask.conditions == ("mask_tokens",):
        run = _contender(profile, expert(profile, seed, "mask-pixel-expert", (data(profile, "mask"),)))
        return ExpertUse(run=run, conditions=("mask",)), text
    run = _contender(profile, mask_token_expert(profile, seed, class_embedding=True))
    return text, ExpertUse(run=run, conditions=("mask_tokens",))


def weak_experts(profile: Profile, seed: int) -> tuple[ExpertUse, ...]:
    """Return copies of both experts trained for a quarter of their steps, for autoguidance."""
    uses = [(use, use.run) for use in experts(profile, seed)]
    return tuple(
        replace(
            use, run=replace(with_steps(run, run.trainer.max_steps // 4 or 1), name=seeded(f"weak-{bare(run)}", seed))
        )
        for use, run in uses
        if isinstance(run, TrainRun)
    )


def soup_experts(profile: Profile, seed: int) -> tuple[ExpertUse, ...]:
    """Return two experts fine-tuned from one base, each on its condition, of the joint model's architecture.

    Base and experts together take as many steps as the two experts of this comparison; the base has half of them and learns
    each condition apart. No image of theirs ever comes with both conditions.
    """
    whole = joint(profile, seed)
    assert isinstance(whole.model, DenoiserConfig)
    steps = of(profile).joint_steps or sum(run.trainer.max_steps for run in _experts(profile, seed))

    def run(name: str, *kept: str, share: int, initial: TrainRun | None = None) -> TrainRun:
        assert isinstance(whole.model, DenoiserConfig)
        subsets = (*(((condition,), 0.875 / len(kept)) for condition in kept), ((), 0.125))
        made = replace(whole, name=seeded(name, seed), model=replace(whole.model, subsets=subsets), initial=initial)
        return with_steps(made, max(1, steps // share))

    base = run("soup-base", "mask", "text", share=2)
    return tuple(
        ExpertUse(run=run(f"soup-{name}", name, share=4, initial=base), conditions=(name,)) for name in ("mask", "text")
    )


def compared(profile: Profile, name: str, method: MethodConfig) -> SampleRun:
    """Return the run that samples a row of this comparison, as ``collaborated`` but for the number of images."""
    run = collaborated(profile, name, method)
    return replace(run, num_images=of(profile).num_images or run.num_images)


def collaborators(profile: Profile, seed: int) -> TrainRun:
    """Return the training run of both experts' dynamic diffusers."""
    run = _without_validation(diffusers(profile, seed))
    steps = of(profile).diffuser_steps
    run = with_steps(run, steps) if steps else run
    return replace(run, experts=_experts(profile, seed))


def joint(profile: Profile, seed: int) -> TrainRun:
    """Return one model given mask and text together, as in Unite and Conquer; trained as long as all experts together."""
    run = expert(profile, seed, "joint-expert", (data(profile, "mask"),), text=True)
    assert isinstance(run.model, DenoiserConfig)
    model = replace(run.model, subsets=((("mask", "text"), 0.875), ((), 0.125)))
    run = _without_validation(replace(run, model=model, data=(data(profile, "mask", "caption"),)))
    run = with_steps(run, _joint_steps(profile, seed))
    return on_captions(run) if of(profile).scale_embedding else run


def multi_task(profile: Profile, seed: int) -> TrainRun:
    """Return MT-Diffusion of the image, the picture of its mask (also an input of the network) and its caption's embedding."""
    width = unite_and_conquer.of(profile).embedding_dim
    run = joint(profile, seed)
    assert isinstance(run.model, DenoiserConfig)
    text = Embedding(name="text", dim=width, source="text", encoder="projection", condition="caption", width=4 * width)
    model = MTDiffusionConfig(
        network=of(profile).multi_task_network,
        modalities=(PairedImage(name="mask_picture", concatenate=True), text),
        image_size=run.model.image_size,
        schedule=run.model.schedule,
        prediction=run.model.prediction,
        learned_variance=run.model.learned_variance,
        min_snr=run.model.min_snr,
        optimizer=run.model.optimizer,
    )
    return replace(
        run,
        name=seeded("mt-mask-text", seed),
        model=model,
        data=(replace(run.data[0], conditions=("mask_picture", "caption")),),
        embedder=image_text_model(profile),
    )


def _joint_steps(profile: Profile, seed: int) -> int:
    """Return the steps of both experts plus those of the dynamic diffusers, each about as costly: two frozen forward passes.

    At paper, where joint models diffuse pixels but experts latents, return twice the steps of Unite and Conquer's experts.
    """
    return of(profile).joint_steps or sum(
        run.trainer.max_steps for run in (*_experts(profile, seed), collaborators(profile, seed))
    )


def _experts(profile: Profile, seed: int) -> tuple[TrainRun, ...]:
    return tuple(_contender(profile, run(profile, seed)) for run in (mask_expert, words_expert))


def _contender(profile: Profile, run: TrainRun) -> TrainRun:
    """Return an expert that is trained without the validation images and has an unconditional output."""
    run = _without_validation(run)
    if isinstance(run.model, LatentDenoiserConfig):
        run = replace(run, model=replace(run.model, drop_probability=DROP))
    steps = of(profile).expert_steps
    return with_steps(run, steps) if steps else run


def bare(run: TrainRun) -> str:
    """Return the name of a run without its seed."""
    return run.name.split("-seed")[0]


def _without_validation(run: TrainRun) -> TrainRun:
    name = seeded(f"{bare(run)}-reduced", run.seed)
    return replace(run, name=name, data=tuple(replace(part, split="reduced") for part in run.data))
