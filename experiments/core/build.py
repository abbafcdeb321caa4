"""The one place where a config becomes objects: models, samplers, trainers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from experiments.spec import SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.classifier_guidance import ClassifierGuided
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.collaborative.model import Collaborative, CollaborativeConfig
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.methods.label_sampling import LabelSampling
from lightning_mmdiff.methods.learned_reliability import LearnedReliability, ReliabilityConfig
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.methods.replacement import Replacement
from lightning_mmdiff.methods.sdedit import SDEdit
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.autoencoder import Autoencoder, AutoencoderConfig
from lightning_mmdiff.models.contrastive import ContrastiveConfig, ContrastiveModel
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.models.evaluators import (
    AttributeClassifier,
    AttributeClassifierConfig,
    FaceParser,
    FaceParserConfig,
)
from lightning_mmdiff.models.latent_denoiser import LatentDenoiser, LatentDenoiserConfig
from lightning_mmdiff.models.latents import Moments
from lightning_mmdiff.models.noisy_classifier import NoisyClassifier, NoisyClassifierConfig
from lightning_mmdiff.networks import stable_diffusion
from lightning_mmdiff.networks.ldm import CrossAttentionUNet
from lightning_mmdiff.networks.vae import VAE
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.sampling import SamplingModule

WEIGHTS = "weights.safetensors"
"""File that marks a finished training."""


def model(run: TrainRun, runs: Path | None) -> LightningModule:
    """Model of a training run: fresh weights, or those it is fine-tuned from; its frozen helpers are loaded from ``runs``.

    With ``runs`` None nothing is read: the architecture alone.
    """
    module = _fresh(run, runs)
    if runs is not None and run.initial is not None:
        checkpoints.load_weights(module, runs / run.initial.name / WEIGHTS)
    elif runs is not None and isinstance(module, MTDiffusion) and module.config.pretrained:
        assert isinstance(module.network.unet, CrossAttentionUNet)
        stable_diffusion.load_unet(module.network.unet)
    return module


def _fresh(run: TrainRun, runs: Path | None) -> LightningModule:
    match run.model:
        case DenoiserConfig(conditions=conditions):
            return Denoiser(run.model, embedder=_embedder(run, runs) if conditions.embedding else None, seed=run.seed)
        case MTDiffusionConfig(modalities=modalities):
            embedder = _embedder(run, runs) if any(isinstance(m, Embedding) for m in modalities) else None
            return MTDiffusion(run.model, embedder=embedder, autoencoder=_latents(run, runs), seed=run.seed)
        case NoisyClassifierConfig():
            return NoisyClassifier(run.model, seed=run.seed)
        case FaceParserConfig():
            return FaceParser(run.model, seed=run.seed)
        case AttributeClassifierConfig():
            return AttributeClassifier(run.model, seed=run.seed)
        case ContrastiveConfig():
            return ContrastiveModel(run.model, seed=run.seed)
        case AutoencoderConfig():
            return Autoencoder(run.model, seed=run.seed)
        case LatentDenoiserConfig():
            vae, path = autoencoder(run, runs), moments_path(run, runs) if runs else None
            moments = Moments(path, vae.config.latent_shape) if path and path.exists() else None
            return LatentDenoiser(run.model, autoencoder=vae, moments=moments, seed=run.seed)
        case CollaborativeConfig():
            return Collaborative([trained(need, runs) for need in run.needs], run.model, seed=run.seed)
        case ReliabilityConfig():
            return LearnedReliability([trained(need, runs) for need in run.needs], run.model, seed=run.seed)


def autoencoder(run: TrainRun, runs: Path | None) -> VAE:
    """The trained autoencoder among what ``run`` needs, frozen, without the networks of its loss."""
    need = _autoencoder_run(run)
    assert isinstance(need.model, AutoencoderConfig)
    module = Autoencoder(replace(need.model, perceptual_weight=0.0), seed=need.seed)
    if runs is not None:
        checkpoints.load_weights(module, runs / need.name / WEIGHTS)
    return module.vae.requires_grad_(False).eval()


def _latents(run: TrainRun, runs: Path | None) -> VAE | None:
    """The autoencoder whose latents MT-Diffusion diffuses: a released one, or the trained one that ``run`` needs."""
    assert isinstance(run.model, MTDiffusionConfig)
    if released := run.model.latents:
        return VAE(released) if runs is None else stable_diffusion.load_autoencoder(released)
    return autoencoder(run, runs) if any(isinstance(n.model, AutoencoderConfig) for n in run.needs) else None


def moments_path(run: TrainRun, runs: Path) -> Path:
    """File of the cached latents of the training images of ``run``, beside the autoencoder they are made by."""
    data = run.data[0]
    name = f"moments-{data.dataset}-{data.split}-{data.captions}-{data.image_size}px.npy"
    return runs / _autoencoder_run(run).name / name


def _autoencoder_run(run: TrainRun) -> TrainRun:
    return next(need for need in run.needs if isinstance(need.model, AutoencoderConfig))


def _embedder(run: TrainRun, runs: Path | None) -> Any:
    """The image-text model among what ``run`` needs; where it needs none, CLIP or FaRL from local weights."""
    for need in run.needs:
        if isinstance(need.model, ContrastiveConfig):
            return trained(need, runs)
    from lightning_mmdiff.networks.farl import load_clip, load_farl  # imports transformers, which takes seconds

    modalities = run.model.modalities if isinstance(run.model, MTDiffusionConfig) else ()
    names = [m.released for m in modalities if isinstance(m, Embedding) and m.released]
    if names and runs is None:
        return None
    return load_clip(weights.require(names[0])) if names else load_farl()


def trained(run: TrainRun, runs: Path | None) -> Any:
    """Model of a finished training run, frozen, in evaluation mode."""
    module = _fresh(run, runs)
    if runs is not None:
        checkpoints.load_weights(module, runs / run.name / WEIGHTS)
    return module.requires_grad_(False).eval()


def sampling_module(run: SampleRun, runs: Path) -> SamplingModule:
    """The method of a sample run over its trained models; experts of the same run share one model."""
    if run.method in ("unite", "composable"):
        models = {use.run: trained(use.run, runs) for use in run.experts}
        experts = [
            Expert(denoiser=models[u.run], conditions=u.conditions, weight=u.weight, reliability=u.reliability)
            for u in run.experts
        ]
        combine = UniteAndConquer if run.method == "unite" else Composable
        return combine(experts, sampler=run.sampler, sampling_seed=run.seed)
    if run.method == "label_sampling":  # expert i is the model of class i
        of_class = [trained(use.run, runs) for use in run.experts]
        return LabelSampling(of_class, sampler=run.sampler, sampling_seed=run.seed)
    single = _single(run, runs)
    if run.classifier is None:
        return single
    scale = 1.0 if run.scale is None else run.scale
    return ClassifierGuided(single, trained(run.classifier, runs), scale=scale, sampling_seed=run.seed)


def _single(run: SampleRun, runs: Path) -> SamplingModule:
    """One model, asked in the way of the run's method."""
    module: SamplingModule = trained(run.experts[0].run, runs) if run.experts else _nothing(run)
    module.sampler, module.sampling_seed = run.sampler, run.seed
    match run.method:
        case "restore":
            assert isinstance(module, MTDiffusion)
            module.keep_known = True
            return module
        case "collaborate" | "edit":
            assert isinstance(module, Collaborative)
            module.influence_config = run.influence or InfluenceConfig()
            return module
        case "sdedit":
            start = round((run.start if run.start is not None else 0.5) * len(module.schedule))
            return SDEdit(module, start_step=start, sampling_seed=run.seed)
        case "replacement":
            return Replacement(module, sampling_seed=run.seed)
        case "denoise":
            return module
    return _nothing(run)


def _nothing(run: SampleRun) -> Any:
    raise UserError(f"{run.name} ({run.method}) has no images to sample.")


def trainer(config: TrainerConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    """Lightning trainer of a training run."""
    return Trainer(
        default_root_dir=folder, max_steps=config.max_steps, max_epochs=-1, precision=config.precision,
        devices=config.devices, num_nodes=config.num_nodes, gradient_clip_val=config.gradient_clip_val,
        callbacks=callbacks, **QUIET,
    )  # fmt: skip


def predictor(folder: Path, callbacks: list[Callback]) -> Trainer:
    """Lightning trainer that shares sampling out over the local devices (one on a CPU)."""
    return Trainer(default_root_dir=folder, devices="auto", callbacks=callbacks, **QUIET)


QUIET: dict[str, Any] = {
    "logger": False,  # callbacks.LossCurve keeps the curve
    "enable_progress_bar": False,  # callbacks.RunProgress knows the number of steps
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the data modules split by rank themselves
}
