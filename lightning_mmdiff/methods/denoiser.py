"""One diffusion model with any conditions: DDPM's simple loss, eps, v or z_0 prediction, and Improved DDPM's hybrid loss.

Ho et al. 2020 (simple loss), Salimans and Ho 2022 (v), Nichol and Dhariwal 2021 (learned variance), Hang et al. 2023 (min-SNR).
This is the uni-modal expert of Unite and Conquer (Sec. 3.2 and supplement 7.3) and the single-model row of its Table 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from lightning_mmdiff import images, schedules
from lightning_mmdiff.methods.supervised import SeededTraining
from lightning_mmdiff.networks.conditions import ConditionConfig, ConditionEncoder, drop
from lightning_mmdiff.networks.unet import UNet, UNetConfig
from lightning_mmdiff.noise import Prediction
from lightning_mmdiff.optimization import OptimizerConfig, adamw
from lightning_mmdiff.sampling import Conditions, SamplingModule
from lightning_mmdiff.spaced import variational_bound


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """Architecture and loss of one diffusion model."""

    network: UNetConfig
    conditions: ConditionConfig
    image_size: int
    """Height and width in pixels."""
    schedule: schedules.ScheduleName = "linear"
    prediction: Prediction = "eps"
    learned_variance: bool = False
    """The network also outputs the interpolated log variance; adds the variational bound to the loss."""
    min_snr: float | None = None
    """gamma of min-SNR loss weighting; None is the simple loss (unit weight on the error of the prediction)."""
    subsets: tuple[tuple[tuple[str, ...], float], ...] = ()
    """Which conditions a training image keeps, with which probability (sum 1). Empty: always all."""
    optimizer: OptimizerConfig
    compile: bool = False


class Denoiser(SeededTraining, SamplingModule):
    """A diffusion model p(z | conditions). ``encode`` and ``predict_eps`` are what the uniting methods call."""

    def __init__(
        self,
        config: DenoiserConfig,
        *,
        embedder: nn.Module | None = None,
        sampler: schedules.Sampler | None = None,
        seed: int = 0,
    ):
        """Build the network.

        Args:
            config: architecture and loss.
            embedder: frozen model with ``embed_images`` and ``embed_text`` (CLIP, FaRL): trained on embeddings of the training
                image, sampled with embeddings of the text (supplement 7.3). It is never stored in our checkpoints.
            sampler: how ``predict_step`` samples; default DDIM with 50 steps.
            seed: of initial weights, timesteps, noise and dropped conditions.
        """
        super().__init__(
            sampler=sampler or schedules.Sampler(name="ddim", num_steps=50),
            schedule=schedules.by_name(config.schedule),
            shape=(3, config.image_size, config.image_size),
            sampling_seed=seed,
        )
        self.config = config
        self.seed = seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.condition_encoder = ConditionEncoder(config.conditions)
            self.network = UNet(config.network)
        self.embedder = embedder.requires_grad_(False).eval() if embedder is not None else None
        if config.compile:
            self.network.compile()  # in place: names of parameters stay

    def embed(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Conditions of a training batch, the image's own embedding included where this model is conditioned on one."""
        conditions = dict(batch.get("conditions", {}))
        if self.config.conditions.embedding is not None:
            conditions[self.config.conditions.embedding[0]] = self._embedder().embed_images(batch["image"])  # Eq. 20
        return conditions

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Replace captions by their text embedding, [B, D], where this model is conditioned on an embedding."""
        if self.config.conditions.embedding is None or "caption" not in conditions:
            return conditions
        name = self.config.conditions.embedding[0]
        return {
            **conditions,
            name: self._embedder().embed_text(conditions["caption"]),
        }  # supplement 7.3: text at sampling

    def encode(self, conditions: Conditions, batch_size: int) -> tuple[Tensor | None, Tensor | None]:
        """Channels to concatenate [B, Cc, H, W] and embedding [B, D] of those conditions that this model knows."""
        known = {k: conditions[k] for k in self.config.conditions.names if k in conditions}
        return self.condition_encoder(known, batch_size, self.config.image_size, self.device)

    def forward(self, z: Tensor, t: Tensor, channels: Tensor | None, embedding: Tensor | None) -> Tensor:
        """Raw network output, [B, 3 or 6, H, W], for z_t [B, 3, H, W] at t [B]."""
        x = z if channels is None else torch.cat([z, channels.to(z.dtype)], dim=1)
        return self.network(x, t, embedding)

    def predict_eps(self, z: Tensor, t: Tensor, channels: Tensor | None, embedding: Tensor | None) -> Tensor:
        """Predicted noise eps_theta(z_t, x, t), [B, 3, H, W]."""
        output = self(z, t, channels, embedding)[:, : z.shape[1]]
        match self.config.prediction:
            case "eps":
                return output
            case "v":
                return self.schedule.eps_from_v(output, z, t)
            case "z0":
                return self.schedule.eps_from_z0(output, z, t)

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Plain conditional sampling (no guidance)."""
        channels, embedding = self.encode(conditions, len(z))
        t = t.to(z.device).expand(len(z))
        if self.config.learned_variance and self.sampler.variance == "learned_range":
            return self(z, t, channels, embedding)  # [B, 6, H, W]: the scheduler reads the variance too
        return self.predict_eps(z, t, channels, embedding)

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Simple (or hybrid) loss of ``batch``, a scalar; all randomness comes from ``generator``."""
        z0 = images.to_float(batch["image"])
        t = torch.randint(len(self.schedule), (len(z0),), generator=generator).to(z0.device)
        eps = torch.randn(z0.shape, generator=generator).to(z0.device)
        z = self.schedule.add_noise(z0, eps, t)
        channels, embedding = self.encode(self._drop(self.embed(batch), len(z0), generator), len(z0))
        output = self(z, t, channels, embedding)
        prediction = output[:, : z.shape[1]]
        target = {"eps": eps, "v": self.schedule.v_target(z0, eps, t), "z0": z0}[self.config.prediction]
        per_image = (prediction.float() - target).square().mean(dim=(1, 2, 3))
        if self.config.min_snr is not None:
            per_image = per_image * self.schedule.min_snr_weight(t, self.config.min_snr, self.config.prediction)
        loss = per_image.mean()
        if self.config.learned_variance:  # hybrid loss, Improved DDPM Eq. 16, without rescaling
            loss = loss + variational_bound(self.schedule, output, z0, z, t).mean()
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW over the trainable parameters."""
        return adamw([p for p in self.parameters() if p.requires_grad], self.config.optimizer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen embedder out of the checkpoint."""
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if not k.startswith("embedder.")}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the frozen embedder's own weights back, so that loading stays strict."""
        own = {k: v for k, v in self.state_dict().items() if k.startswith("embedder.")}
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **own}

    def _drop(self, conditions: Conditions, batch_size: int, generator: torch.Generator) -> Conditions:
        """Keep a random subset of the conditions of each image, drawn from ``config.subsets``; a batch may lack some."""
        if not self.config.subsets:
            return conditions
        probabilities = torch.tensor([p for _, p in self.config.subsets])
        keep = torch.multinomial(probabilities, batch_size, replacement=True, generator=generator)
        return drop(conditions, keep, [[n for n in names if n in conditions] for names, _ in self.config.subsets])

    def _embedder(self) -> Any:
        if self.embedder is None:
            raise ValueError("This model is conditioned on an embedding: pass embedder= (a CLIP-like model).")
        return self.embedder
