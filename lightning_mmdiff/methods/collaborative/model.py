"""Collaborative Diffusion (Huang et al., CVPR 2023): Sec. 3.2, Eq. 5-7, Algorithm 1 (training) and Algorithm 2 (sampling).

Notation: eps -> eps_theta_m(x_t, t, c_m); logits -> I_m,t (Eq. 5); influence -> I^_m,t (Eq. 6); M modalities, one expert each.

    python -m experiments.table9
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff import schedules, seeding
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.collaborative.classes import check_classes
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig, released_schedule
from lightning_mmdiff.methods.unite_and_conquer import Expert, ExpertCombination
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.diffusion import DiffusionModel
from lightning_mmdiff.models.training import SupervisedModel
from lightning_mmdiff.networks.dynamic_diffuser import DynamicDiffuser
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions, NoisePrediction
from lightning_mmdiff.transfer import moved


def normalize(logits: Tensor) -> Tensor:
    """Return the influence of each model at each pixel (Eq. 6): softmax over modalities, [M, B, 1, H, W] -> the same."""
    return logits.softmax(dim=0)  # Eq. 6


def collaborate(eps: Tensor, influence: Tensor) -> Tensor:
    """Return the noise of the collaborating models (Eq. 7), [B, C, H, W].

    ``eps`` is each model's predicted noise, [M, B, C, H, W]; ``influence`` [M, B, 1, H, W] sums to 1 over M.
    """
    return (influence * eps).sum(dim=0)  # Eq. 7


@dataclass(frozen=True, kw_only=True)
class Collaborator(Config):
    """One modality: the conditions of its expert, and its dynamic diffuser."""

    conditions: tuple[str, ...]
    """Names from the expert's config; the dynamic diffuser receives the same conditions."""
    network: NetworkConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network.out_channels != 1:
            raise UserError(
                f"A dynamic diffuser has one output channel, its influence; got {self.network.out_channels}."
            )


@dataclass(frozen=True, kw_only=True)
class CollaborativeConfig(ModelConfig):
    """Dynamic diffusers and their training (Algorithm 1)."""

    collaborators: tuple[Collaborator, ...]
    min_snr: float | None = None
    """gamma of min-SNR loss weighting; None is the paper's unit weight on the error of eps."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=6.4e-5, weight_decay=0.01)  # base rate 2e-6 x 32 images per step

    def build(self, *, seed: int, experts: Sequence[DiffusionModel]) -> "Collaborative":
        """Build the dynamic diffusers over trained experts."""
        return Collaborative(experts, self, seed=seed)

    def network_for(self, conditions: tuple[str, ...]) -> NetworkConfig:
        """Return the config of the dynamic diffuser of ``conditions``."""
        return next(c.network for c in self.collaborators if c.conditions == conditions)

    @property
    def networks(self) -> tuple[NetworkConfig, ...]:
        """The dynamic diffusers."""
        return tuple(c.network for c in self.collaborators)

    @property
    def calls_per_step(self) -> int:
        """One call for each expert and one for its dynamic diffuser."""
        return 2 * len(self.collaborators)

    @property
    def frozen_calls(self) -> int:
        """The experts' calls."""
        return len(self.collaborators)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("collaborators")
        self._positive("min_snr")


class Collaborative(SupervisedModel, ExpertCombination):
    """Frozen experts, weighted at every pixel and step by dynamic diffusers. Only the latter are trained and stored."""

    def __init__(
        self,
        denoisers: Sequence[DiffusionModel],
        config: CollaborativeConfig,
        *,
        sampler: schedules.Sampler | None = None,
        influence: InfluenceConfig | None = None,
        seed: int = 0,
    ) -> None:
        """Build one dynamic diffuser for each expert.

        Args:
            denoisers: trained experts in the order of ``config.collaborators``; any architecture; a model may appear twice.
            config: dynamic diffusers.
            sampler: default DDIM, 50 steps, eta 1 (clipped in pixel space; the released one for latents).
            influence: how sampling uses the influence; default Eq. 5-7 as printed.
            seed: seed of the initial weights, timesteps, noise, and sampling.

        Raises:
            UserError: if the numbers of experts and collaborators differ, the released schedule is used with fewer than two,
                shapes differ, an expert lacks its condition, or only one of an expert and its diffuser takes classes.
        """
        if len(denoisers) != len(config.collaborators):
            raise UserError(
                f"{len(denoisers)} experts were given for {len(config.collaborators)} collaborators: one each is needed."
            )
        for d, m in zip(denoisers, config.collaborators):
            check_classes(d, m.conditions, m.network.num_classes)
        experts = [Expert(denoiser=d, conditions=m.conditions) for d, m in zip(denoisers, config.collaborators)]
        latent = any(d.is_latent for d in denoisers)
        default = schedules.Sampler(
            name="ddim", num_steps=50, eta=1.0, clip=not latent, spacing="leading" if latent else None
        )
        ExpertCombination.__init__(self, experts, sampler=sampler or default, sampling_seed=seed)
        self.config, self.seed, self.optimizer_config = config, seed, config.optimizer
        self.influence_config = influence or InfluenceConfig()
        self.influence_config.check(len(self.experts))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.diffusers = nn.ModuleList(
                [DynamicDiffuser(collaborator.network) for collaborator in config.collaborators]
            )

    def with_experts(self, denoisers: Sequence[DiffusionModel]) -> "Collaborative":
        """Return the same dynamic diffusers (shared, not copied) over other experts, e.g., fine-tuned ones (Algorithm 3)."""
        other = Collaborative(
            denoisers, self.config, sampler=self.sampler, influence=self.influence_config, seed=self.seed
        )
        other.diffusers, other.sampling_seed = self.diffusers, self.sampling_seed
        return other

    def train(self, mode: bool = True) -> "Collaborative":
        """Set the mode of the dynamic diffusers; the experts stay in evaluation mode."""
        super().train(mode)
        self.models.eval()
        return self

    def logits(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return I_m,t = D_phi_m(x_t, t, c_m) (Eq. 5), [M, B, 1, H, W], for x_t [B, C, H, W] and t [B] or scalar."""
        logits = []
        for expert, diffuser in zip(self.experts, self.diffusers):
            with torch.no_grad():  # encoders belong to the frozen experts
                known = {n: conditions[n] for n in expert.conditions if n in conditions}
                encoded = expert.denoiser.encode(known, len(z))
            logits.append(diffuser(z, t, encoded.channels, encoded.embedding, encoded.labels))  # Eq. 5
        return torch.stack(logits)

    def predictions(self, z: Tensor, t: Tensor, conditions: Conditions, *, guidance: float = 1.0) -> Tensor:
        """Return eps_m of every expert, [M, B, C, H, W], without gradient, so no expert activations are kept.

        Args:
            z: x_t, [B, C, H, W].
            t: timesteps, [B] or a scalar.
            conditions: of the batch, encoded.
            guidance: guidance scale of every expert; 1 is none.
        """
        conditional = [(e.denoiser, e.conditions) for e in self.experts]
        null = [(denoiser, ()) for denoiser, _ in conditional if guidance != 1]
        with torch.no_grad():
            eps = torch.stack(self.evaluate(z, t, [*conditional, *null], conditions))
        return eps if guidance == 1 else torch.lerp(eps[len(conditional) :], eps[: len(conditional)], guidance)

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the error of the collaborative prediction (Algorithm 1), a scalar; only the dynamic diffusers get a gradient."""
        z0 = self.experts[0].denoiser.clean(batch, generator)
        t = seeding.randint(len(self.schedule), len(z0), generator)  # line 3
        eps = moved(seeding.randn(z0.shape, generator), z0.device)  # line 4
        z = self.schedule.add_noise(z0, eps, t)
        with torch.no_grad():
            conditions = self.encode_conditions(batch.get("conditions", {}))
        influence = normalize(self.logits(z, t, conditions))  # lines 7 and 9
        predicted = collaborate(self.predictions(z, t, conditions), influence)  # lines 6 and 10
        per_image = (predicted - eps).square().mean(dim=(1, 2, 3))  # line 11
        if self.config.min_snr is not None:
            per_image = per_image * moved(self.schedule.min_snr_weight(t, self.config.min_snr, "eps"), z.device)
        return per_image.mean()

    def influence(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return each model's influence at one sampling step per ``influence_config``, [M, B, 1, H, W]; t is a scalar."""
        config, logits = self.influence_config, self.logits(z, t, conditions)
        if not config.spatial:
            logits = logits.mean(dim=(-2, -1), keepdim=True).expand_as(logits)
        influence = normalize(logits)
        if config.schedule == "released":
            return released_schedule(influence, t, len(self.schedule), scheduled=config.scheduled)
        return influence

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise by Eq. 7 (Algorithm 2, lines 4-9)."""
        return self._combine(z, t, conditions, self.influence(z, t, conditions))

    def _combine(self, z: Tensor, t: Tensor, conditions: Conditions, influence: Tensor) -> Tensor:
        guidance = self.influence_config.guidance
        return collaborate(self.predictions(z, t, conditions, guidance=guidance), influence)

    def predict_step(
        self, batch: Mapping[str, Any], batch_idx: int = 0, *, predict_noise: NoisePrediction | None = None
    ) -> Tensor:
        """Sample one image for each item of ``batch``; returns uint8 [B, 3, H, W] in [0, 255]."""
        if self.influence_config.temporal or predict_noise is not None:
            return super().predict_step(batch, batch_idx, predict_noise=predict_noise)
        return self.sample_with_influence(batch)[0]

    @torch.no_grad()
    def sample_with_influence(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Sample as ``predict_step`` does, and record each model's influence over space and time (Fig. 10).

        Returns:
            Images, uint8 [B, 3, H, W]; influence, float [steps, M, B, h, w] in sampling order, on the CPU (h, w as diffused).
        """
        self.influence_config.check(len(self.experts))
        if self.influence_config.temporal:
            return self._sample(batch, None)
        _, maps = self._sample(batch, None)
        return self._sample(batch, maps.mean(dim=0).unsqueeze(2).to(self.device))  # without temporal variation

    def _sample(self, batch: Mapping[str, Any], fixed: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run Algorithm 2 with influence ``fixed`` [M, B, 1, H, W], or the predicted one; return the images and the maps."""
        maps: list[Tensor] = []

        def predict_noise(z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
            influence = self.influence(z, t, conditions) if fixed is None else fixed
            maps.append(influence.squeeze(2).float().cpu())
            return self._combine(z, t, conditions, influence)

        return self.predict_step(batch, predict_noise=predict_noise), torch.stack(maps)
