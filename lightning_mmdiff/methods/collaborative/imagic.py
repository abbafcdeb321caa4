"""Imagic for any condition (Kawar et al. 2023; Collaborative Diffusion, CVPR 2023, supplement A.2, Eq. 12-14).

First the condition and then the network is trained to reproduce one image; the edit interpolates between the optimized and
the target condition. The paper gives no learning rate, iteration count or alpha: the defaults are those of the released code.
"""

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from lightning_mmdiff import seeding
from lightning_mmdiff.callbacks.checkpoints import Checkpoints
from lightning_mmdiff.configs import Config
from lightning_mmdiff.models.diffusion import DiffusionModel
from lightning_mmdiff.models.training import SupervisedModel
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.steps import StopAfter


@dataclass(frozen=True, kw_only=True)
class ImagicConfig(Config):
    """Length and learning rates of the two stages."""

    condition_steps: int = 500
    condition_optimizer: OptimizerConfig = OptimizerConfig(lr=1e-3)
    network_steps: int = 1000
    network_optimizer: OptimizerConfig = OptimizerConfig(lr=1e-6)
    batch_size: int = 1
    """Number of draws of timestep and noise per step, all for the same image."""
    min_snr: float | None = None
    """gamma of min-SNR loss weighting; None is the paper's unit weight on the error of eps."""
    checkpoint_every: int = 250
    """Number of steps between checkpoints of a stage."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "condition_steps", "network_steps")
        self._at_least(1, "batch_size", "checkpoint_every")
        self._positive("min_snr")


def interpolate(target: Tensor, optimized: Tensor, alpha: float) -> Tensor:
    """Interpolate from the condition that reproduces the image (alpha 0) to the target (alpha 1); alpha may exceed 1 (Eq. 14)."""
    return alpha * target + (1 - alpha) * optimized  # Eq. 14


class Reconstruction(SupervisedModel):
    """Denoising loss of one image under one model; subclasses define what is trained."""

    unsaved = ("models",)
    z0: Tensor

    def __init__(
        self,
        denoiser: DiffusionModel,
        z0: Tensor,
        config: ImagicConfig,
        optimizer: OptimizerConfig,
        seed: int,
    ) -> None:
        """Freeze the model, which is never stored.

        Args:
            denoiser: the model.
            z0: image in the diffusion space of ``denoiser``, [1, C, H, W].
            config: settings of both stages.
            optimizer: optimizer of this stage.
            seed: seed of noise and timesteps.
        """
        super().__init__(optimizer, seed=seed)
        self.config = config
        self.register_buffer("z0", z0, persistent=False)
        self.models = nn.ModuleList([denoiser])

    @property
    def denoiser(self) -> DiffusionModel:
        """The model being called."""
        return cast(DiffusionModel, self.models[0])

    @abstractmethod
    def conditions(self) -> Mapping[str, Tensor]:
        """Return the conditions of the image, float [1, ...] each."""

    def train(self, mode: bool = True) -> "Reconstruction":
        """Set the training mode; the model stays in evaluation mode."""
        super().train(mode)
        self.models.eval()
        return self

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return E |eps - eps_theta(x_t, t, c)|^2 over t and eps (Eq. 12 and 13), a scalar."""
        count, schedule = self.config.batch_size, self.denoiser.schedule
        z0 = self.z0.expand(count, -1, -1, -1)
        t = torch.randint(len(schedule), (count,), generator=generator).to(z0.device)
        eps = torch.randn(z0.shape, generator=generator).to(z0.device)
        known = {name: value.expand(count, *value.shape[1:]) for name, value in self.conditions().items()}
        predicted = self.denoiser.predict_eps(schedule.add_noise(z0, eps, t), t, self.denoiser.encode(known, count))
        per_draw = (predicted - eps).square().mean(dim=(1, 2, 3))
        if self.config.min_snr is not None:
            per_draw = per_draw * schedule.min_snr_weight(t, self.config.min_snr, "eps")
        return per_draw.mean()


class ConditionSearch(Reconstruction):
    """Stage 1, Eq. 12: the condition is trained, starting from the target; the model is frozen."""

    def __init__(
        self,
        denoiser: DiffusionModel,
        z0: Tensor,
        target: Mapping[str, Tensor],
        config: ImagicConfig,
        seed: int,
    ) -> None:
        """Copy the target conditions.

        Args:
            denoiser: the model.
            z0: image in the diffusion space of ``denoiser``, [1, C, H, W].
            target: target conditions as model inputs, float [1, ...] each.
            config: settings of both stages.
            seed: seed of noise and timesteps.
        """
        super().__init__(denoiser.requires_grad_(False), z0, config, config.condition_optimizer, seed)
        self.condition = nn.ParameterDict({name: value.detach().clone() for name, value in target.items()})

    def conditions(self) -> Mapping[str, Tensor]:
        """Return the trained conditions."""
        return {name: self.condition[name] for name in self.condition}


class NetworkTuning(Reconstruction):
    """Stage 2, Eq. 13: a copy of the model's U-Net is trained under the condition found in stage 1."""

    def __init__(
        self,
        denoiser: DiffusionModel,
        z0: Tensor,
        found: Mapping[str, Tensor],
        config: ImagicConfig,
        seed: int,
    ) -> None:
        """Copy the network.

        Args:
            denoiser: the model, left unchanged; ``self.denoiser`` is the copy.
            z0: image in the diffusion space of ``denoiser``, [1, C, H, W].
            found: conditions of stage 1, float [1, ...] each.
            config: settings of both stages.
            seed: seed of noise and timesteps.
        """
        tuned = with_own_network(denoiser)
        own = seeding.generator("network tuning", seed).initial_seed()  # other timesteps and noise than stage 1 drew
        super().__init__(tuned, z0, config, config.network_optimizer, own)
        self.network = tuned.network.requires_grad_(True)
        self.names = tuple(found)
        for name, value in found.items():
            self.register_buffer(f"found_{name}", value.detach().clone(), persistent=False)

    def conditions(self) -> Mapping[str, Tensor]:
        """Return the conditions found in stage 1."""
        return {name: getattr(self, f"found_{name}") for name in self.names}


def with_own_network(denoiser: DiffusionModel) -> DiffusionModel:
    """Copy ``denoiser`` with its own U-Net; everything else is shared with the original."""
    shared = {id(child): child for name, child in denoiser.named_children() if name != "network"}
    return copy.deepcopy(denoiser, shared)


def fit(module: Reconstruction, num_steps: int, folder: Path) -> None:
    """Train ``module`` for ``num_steps`` steps, resuming from the newest checkpoint in ``folder`` if there is one."""
    saver = Checkpoints(folder / "checkpoints", every=module.config.checkpoint_every)
    trainer = Trainer(
        default_root_dir=folder, max_epochs=-1, devices=1, callbacks=[saver, StopAfter(num_steps)], logger=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    loader = DataLoader(Draws(), batch_size=None)
    trainer.fit(module, loader, ckpt_path=checkpoints.newest_checkpoint(folder), weights_only=True)


class Draws(IterableDataset):
    """Infinite empty batches: the image, timesteps and noise come from the module."""

    def __iter__(self) -> Any:
        while True:
            yield {}
