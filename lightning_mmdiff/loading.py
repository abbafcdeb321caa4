"""Trained models from their run folders: ``load("runs/mini/hair-expert")`` needs only config.json and the weights.

The models that one is built on (embedder, autoencoder, experts) are looked for in the folders beside it.
"""

from pathlib import Path
from typing import Any

from lightning_mmdiff.baselines.cyclegan import CycleGANConfig
from lightning_mmdiff.baselines.inade import InadeConfig
from lightning_mmdiff.baselines.label_gan import LabelGANConfig
from lightning_mmdiff.baselines.label_vae import LabelVAEConfig
from lightning_mmdiff.baselines.oasis import OasisConfig
from lightning_mmdiff.baselines.pix2pix import Pix2PixConfig
from lightning_mmdiff.baselines.pix2pixhd import Pix2PixHDConfig
from lightning_mmdiff.baselines.spade import SpadeConfig
from lightning_mmdiff.baselines.stylegan2 import StyleGAN2Config
from lightning_mmdiff.baselines.tedigan import MaskEncoderConfig
from lightning_mmdiff.configs import from_json
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig
from lightning_mmdiff.methods.learned_reliability import ReliabilityConfig
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.contrastive import ContrastiveConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.evaluators import AttributeClassifierConfig, FaceParserConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig
from lightning_mmdiff.models.noisy_classifier import NoisyClassifierConfig
from lightning_mmdiff.models.text_denoiser import TextDenoiserConfig
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import read_json
from lightning_mmdiff.source import HELPERS

MODELS = (
    AttributeClassifierConfig, AutoencoderConfig, CollaborativeConfig, ContrastiveConfig, CycleGANConfig, DenoiserConfig,
    FaceParserConfig, InadeConfig, LabelGANConfig, LabelVAEConfig, LatentDenoiserConfig, MaskEncoderConfig,
    MTDiffusionConfig, NoisyClassifierConfig, OasisConfig, Pix2PixConfig, Pix2PixHDConfig, ReliabilityConfig, SpadeConfig,
    StyleGAN2Config, TextDenoiserConfig,
)  # fmt: skip
"""Configs of the models that come with the package; a ModelConfig of yours is found too once its module is imported."""


def load(folder: str | Path) -> Any:
    """Return the trained model of a run folder on the CPU, frozen and in evaluation mode.

    Raises:
        MissingFileError: if the folder, or one that it needs beside it, has no settings or weights.
        UserError: if the settings are not those of a training, or name something that is not imported.
    """
    return _load(Path(folder), helps=False)


def config_of(folder: str | Path) -> ModelConfig:
    """Return the model's config in a run folder; raises as ``load`` does."""
    return _config(_settings(Path(folder)))


def _load(folder: Path, *, helps: bool) -> Any:
    """Load a model, or of a model that helps others the part that they use."""
    settings = _settings(folder)
    config = _config(settings)
    given = {role: settings[role] for role in HELPERS if settings.get(role)}
    helpers = {
        role: [_helper(s, folder) for s in source] if isinstance(source, list) else _helper(source, folder)
        for role, source in given.items()
    }
    build, prefix = (config.build_helper, config.helper_prefix) if helps else (config.build, "")
    module = build(seed=settings.get("seed", 0), **helpers)
    checkpoints.load_weights(module, RunFolder(folder).weights, prefix=prefix)
    return module.requires_grad_(False).eval()


def _helper(source: dict[str, Any], folder: Path) -> Any:
    """Return a frozen model that another is built on: a released one, or that of the run beside ``folder``."""
    if source["type"] != Released.__name__:
        return _load(folder.parent / source["name"], helps=True)
    entry = Released(source["name"]).entry
    if entry.load is None:
        raise UserError(f"{folder}: {entry.name} is no helper of other models.")
    return entry.load()


def _settings(folder: Path) -> dict[str, Any]:
    path = RunFolder(folder).config
    if not path.is_file():
        raise MissingFileError(
            f"{path} is missing: give the folder of a finished training, such as runs/mini/hair-expert."
        )
    settings = read_json(path)
    if not isinstance(settings, dict) or not isinstance(settings.get("model"), dict):
        raise UserError(f"{path} has no model: expected the settings of a training.")
    return settings


def _config(settings: dict[str, Any]) -> ModelConfig:
    return from_json(ModelConfig, settings["model"])
