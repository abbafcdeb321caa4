"""What a model is, read off the network that its config builds (on the meta device): sizes and hyperparameters, never typed."""

from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.core import build, costs
from experiments.spec import TrainRun
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.metrics.results import MetricResult
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig
from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig
from lightning_mmdiff.networks.unet import UNet, UNetConfig

PROTOCOLS = (
    "Parameters (M)", "Trained with it (M)", "Latent side", "Latent channels", "Diffusion steps", "Channels",
    "Attention, coarsest", "Attention, finest", "Batch size", "Iterations", "Learning rate per image (1e-6)",
)  # fmt: skip


def configuration_result(protocol: str, use: ExpertUse) -> MetricResult:
    """A number of the network of ``use``: a diffusion model, or the dynamic diffuser of the modality that it names.

    "Parameters (M)": parameters of the U-Net alone, 1e6. "Trained with it (M)": of all that is trained in its run.
    "Learning rate per image (1e-6)": rate over images per step, 1e-6, as code that scales the rate by the batch states it.
    """
    assert isinstance(use.run, TrainRun)
    value = _value(protocol, use.run, network_of(use))
    return MetricResult(protocol=protocol, value=value, n=1, better="lower", replicates=np.full(1000, value))


def network_of(use: ExpertUse) -> UNetConfig | CrossAttentionUNetConfig:
    """Config of the U-Net that ``use`` means."""
    assert isinstance(use.run, TrainRun)
    model = use.run.model
    if isinstance(model, CollaborativeConfig):
        return next(m.network for m in model.collaborators if m.conditions == use.conditions)
    assert isinstance(model, DenoiserConfig | LatentDenoiserConfig)
    return model.network


def _value(protocol: str, run: TrainRun, network: UNetConfig | CrossAttentionUNetConfig) -> float:
    match protocol:
        case "Parameters (M)":
            return _count(network) / 1e6
        case "Trained with it (M)":
            size = costs.size(run)
            if size is None:
                raise MissingFileError(f"{run.name} cannot be counted without weights that are not on disk.")
            return size.trained / 1e6
        case "Latent side" | "Latent channels" | "Diffusion steps":
            return _diffused(run)[("Latent side", "Latent channels", "Diffusion steps").index(protocol)]
        case "Channels":
            return network.channels[0] if isinstance(network, CrossAttentionUNetConfig) else network.channels
        case "Attention, coarsest":
            return 2 ** max(network.attention_levels, default=0)
        case "Attention, finest":
            return 2 ** min(network.attention_levels, default=0)
        case "Batch size":
            return run.batch_size
        case "Iterations":
            return run.trainer.max_steps
        case "Learning rate per image (1e-6)":
            return 1e6 * run.model.optimizer.lr / run.batch_size
    raise UserError(f"Unknown protocol of a configuration {protocol!r}.")


def _count(network: UNetConfig | CrossAttentionUNetConfig) -> int:
    with torch.device("meta"):
        module: nn.Module = UNet(network) if isinstance(network, UNetConfig) else CrossAttentionUNet(network)
    return sum(p.numel() for p in module.parameters())


def _diffused(run: TrainRun) -> tuple[int, int, int]:
    """Side and channels of what is diffused, and T."""
    with torch.device("meta"):
        module: Any = build.model(run, None)
    channels, side, _ = module.shape
    return side, channels, len(module.schedule)
