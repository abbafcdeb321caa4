"""MT-Diffusion (Chen et al., ICLR 2024): one diffusion model of an image and N modalities; Eq. 4, Eq. 6, Algorithms 1 and 2.

Notation: encodings -> E_i(x_i), [B, N, C, H, W], zeros where x_i is hidden; shifts -> a~_t^i; y -> z_t - sum_i a~_t^i E_i.
The network predicts the noise, v or z_0 of y_t from z_t. Its other parts are in ``aggregation`` (Eq. 3-5), ``modality`` (the
interface of a modality), ``network`` (the network and its config) and ``networks.heads``.

Deviations: noise is sqrt(beta~) eps (printed: beta~); L3 has a minus; an estimate of x_i is used in the step that produces it;
sampling starts from q(z_T | E) where E is known.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff import images, schedules, seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.mt_diffusion.aggregation import (
    ShiftedScheduler,
    aggregate,
    check_precision,
    check_start,
    shift_table,
    split_encodings,
)
from lightning_mmdiff.methods.mt_diffusion.modality import (
    FrozenHelpers,
    KnownData,
    Modality,
    ModalityData,
    check_visible,
    show_pixels,
)
from lightning_mmdiff.methods.mt_diffusion.network import IMAGE, MTDiffusionConfig, MTNetwork, diffusion_space
from lightning_mmdiff.models.training import SeededTraining, summed
from lightning_mmdiff.prediction import denoising_losses, noise_from
from lightning_mmdiff.sampling import Conditions, SamplingModule
from lightning_mmdiff.transfer import moved

GIVEN = "given"
"""Key under which ``encode_conditions`` stores the known data of a batch."""


class MTDiffusion(SeededTraining, SamplingModule):
    """A diffusion model of images and modalities, each of which may be known, missing or partly known at sampling."""

    unsaved = ("embedder", "autoencoder")

    def __init__(
        self,
        config: MTDiffusionConfig,
        *,
        sampler: schedules.Sampler | None = None,
        seed: int = 0,
        embedder: nn.Module | None = None,
        autoencoder: Any = None,
        keep_known: bool = False,
    ) -> None:
        """Build the network and the heads.

        Args:
            config: architecture and loss.
            sampler: sampler for ``predict_step``; default DDIM with 50 steps.
            seed: seed of the initial weights, timesteps, noise and hidden modalities.
            embedder: frozen, with ``embed_images`` and ``embed_text``; for embedding modalities.
            autoencoder: frozen ``networks.vae.VAE``: diffuse its latents, not pixels. Neither helper is ever stored.
            keep_known: whether each step's predicted z_0 keeps the pixels shown by a masked image; False is Algorithm 1.
        """
        shape = diffusion_space(config, autoencoder)
        super().__init__(
            sampler=sampler or schedules.Sampler(name="ddim", num_steps=50, clip=autoencoder is None),
            schedule=schedules.by_name(config.schedule),
            shape=shape,
            sampling_seed=seed,
            latent=autoencoder is not None,
        )
        self.config, self.modalities, self.seed, self.keep_known = config, config.modalities, seed, keep_known
        self.optimizer_config = config.optimizer
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = MTNetwork(config, shape)
        self.embedder = None if embedder is None else embedder.requires_grad_(False).eval()
        self.autoencoder = None if autoencoder is None else autoencoder.requires_grad_(False).eval()
        self.frozen = FrozenHelpers(embedder=self.embedder, autoencoder=self.autoencoder)
        tables = [shift_table(m.aggregation or config.aggregation, self.schedule) for m in self.modalities]
        self.shifts = torch.stack([torch.zeros_like(self.schedule.alpha), *tables])[1:]  # float64 [N, T]

    def read(self, conditions: Conditions, image: Tensor | None = None) -> dict[str, ModalityData]:
        """Return the data of the active modalities that are present; ``image`` is the training image, uint8 [B, 3, S, S]."""
        here = {k: v.to(self.device) if isinstance(v, Tensor) else v for k, v in conditions.items()}
        found = {m.name: m.read(here, image, self.frozen) for m in self.modalities if m.name in self.config.active}
        return {name: data for name, data in found.items() if data is not None}

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the loss of Eq. 6 (Algorithm 2) over the active tasks, a scalar; all randomness comes from ``generator``."""
        return self.losses(batch, generator)["loss"]

    def losses(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``loss`` and the weighted loss of each active task; that of the image is "simple" and "bound"."""
        config = self.config
        z0 = self.frozen.to_space(images.to_float(batch["image"]))
        if tuple(z0.shape[1:]) != self.shape:
            raise UserError(f"The images are {list(batch['image'].shape)}; this model has {config.image_size} pixels.")
        t = seeding.randint(len(self.schedule), len(z0), generator)
        eps = moved(seeding.randn(z0.shape, generator), z0.device)
        data = self.read(batch.get("conditions", {}), batch["image"])
        if missing := [name for name in config.active if name != IMAGE and name not in data]:
            raise UserError(f"The model learns {missing}, but the batch has {sorted(batch.get('conditions', {}))}.")
        encodings = self.network.encode(data, len(z0), self._keep(len(z0), generator))
        labels = self.network.class_labels(batch.get("conditions", {}), len(z0), generator)
        y = self.schedule.add_noise(z0, eps, t)
        features = self.network(y + aggregate(self.shifts, encodings, t), t, encodings, labels)  # Eq. 4
        parts: dict[str, Tensor] = {}
        if IMAGE in config.active:
            parts |= denoising_losses(
                self.schedule, features.raw, z0, eps, y, t,
                prediction=config.prediction, min_snr=config.min_snr, learned_variance=config.learned_variance,
            )  # fmt: skip
        for m in self.modalities:
            if m.name in config.active:
                parts[m.name] = m.weight * m.loss(self.network.predict(m, features), data[m.name]).mean()
        return summed(parts)  # Eq. 6

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Add the known modality data, encoded once for all steps."""
        size = len(next(iter(conditions.values()), ()))
        return {**conditions, GIVEN: self._given(conditions, size)} if conditions else conditions

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Sample z_T ~ q(z_T | E) for the known encodings, N(0, I) without any.

        Raises:
            UserError: if sampling cannot start without a modality that must be estimated, or there are no pixels to keep.
        """
        given = self._given(batch.get("conditions", {}), len(generators))
        if self.keep_known:
            check_visible(given.data)
        for m in self._estimated(given):
            check_start(m.name, m.aggregation or self.config.aggregation)
        scheduler = self.scheduler(batch)
        scheduler.set_timesteps(self.sampler.num_steps)
        return super().initial_latents(batch, generators) + aggregate(
            self.shifts, given.encodings, scheduler.timesteps[0]
        )

    def scheduler(self, batch: Mapping[str, Any]) -> ShiftedScheduler:
        """Return the sampler's scheduler, run on the shifted variable."""
        return ShiftedScheduler(schedules.make_scheduler(self.sampler, self.schedule), self.shifts)

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Decode latents."""
        return z if self.autoencoder is None else self.autoencoder.decode(z)

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the noise of y_t (and raw variance), then the known or newly estimated encodings, [B, C + N C, H, W]."""
        return self.predict(z, t, conditions)[0]

    def without_shift(self, z: Tensor, t: Tensor, output: Tensor) -> Tensor:
        """Return y_t, using the encodings returned by ``predict_noise``: the input of a classifier of noisy images."""
        return z - aggregate(self.shifts, split_encodings(output, len(self.shifts), z.shape[1])[1], t)

    def predict(self, z: Tensor, t: Tensor, conditions: Conditions) -> tuple[Tensor, dict[str, Tensor]]:
        """Run lines 7-11 of Algorithm 1.

        Args:
            z: z_t, [B, C, H, W].
            t: timestep, a scalar.
            conditions: as returned by ``encode_conditions``.

        Returns:
            Input of ``ShiftedScheduler.step``; the estimated data of each modality that is not fully known.
        """
        given = conditions[GIVEN] if GIVEN in conditions else self._given(conditions, len(z))
        t = t.expand(len(z))
        features = self.network(z, t, given.encodings, self.network.class_labels(conditions, len(z)))
        unknown = [m for m in self.modalities if m.name in self.config.active and m.name not in given.complete]
        estimates = {m.name: m.estimate(self.network.predict(m, features)) for m in unknown}
        parts = list(given.encodings.unbind(1))
        for m in self._estimated(given):
            known = given.data[m.name].known if m.name in given.data else 0
            i = self.modalities.index(m)
            parts[i] = parts[i] + (1 - known) * self.network.encode_data(m, estimates[m.name])
        encodings = torch.stack(parts, dim=1) if parts else given.encodings
        y = z - aggregate(self.shifts, encodings, t)
        noise = noise_from(self.schedule, self.config.prediction, features.output, y, t)
        noise = show_pixels(self.schedule, noise, y, t, given.data) if self.keep_known else noise
        learned = self.config.learned_variance and self.sampler.variance == "learned_range"
        variance = [features.raw[:, self.config.channels :]] if learned else []
        return torch.cat([noise, *variance, encodings.flatten(1, 2)], dim=1), estimates

    def generate(self, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Run Algorithm 1 and return both its results.

        Returns:
            Images uint8 [B, 3, H, W], as ``predict_step``; data of each modality that was not fully known, as estimated in the
            last step (pictures in the diffusion space, class probabilities, vectors).
        """
        estimates: dict[str, Tensor] = {}

        def predict_noise(z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
            output, new = self.predict(z, t, conditions)
            estimates.update(new)
            return output

        return self.predict_step(batch, predict_noise=predict_noise), estimates

    @torch.no_grad()
    def predictions(
        self, image: Tensor, t: int, generator: torch.Generator, conditions: Conditions | None = None
    ) -> dict[str, Tensor]:
        """Return each head's prediction for a noisy image (e.g., logits of a label).

        Args:
            image: uint8 [B, 3, S, S].
            t: timestep; 0 is almost clean.
            generator: noise source.
            conditions: modalities to aggregate. With None, the heads see only the image (with E in z_t, a head reads E).
        """
        z0 = self.frozen.to_space(images.to_float(image.to(self.device)))
        times = torch.full((len(z0),), t, device=self.device)
        encodings = self.network.encode(self.read(conditions or {}), len(z0))
        eps = torch.randn(z0.shape, generator=generator).to(z0)
        z = self.schedule.add_noise(z0, eps, times) + aggregate(self.shifts, encodings, times)
        features = self.network(z, times, encodings)
        return {m.name: self.network.predict(m, features) for m in self.modalities}

    def on_fit_start(self) -> None:
        """Reject 16-bit training with the printed weights."""
        check_precision(self.shifts, str(self.trainer.precision))

    def _keep(self, batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Sample which images keep each sometimes hidden modality, [B, 1, 1, 1]."""
        hidden = {m.name: m.hide_fraction for m in self.modalities if m.hide_fraction}
        draws = {name: seeding.rand((batch_size, 1, 1, 1), generator) for name in hidden}
        return {name: (draws[name] >= share).float().to(self.device) for name, share in hidden.items()}

    def _given(self, conditions: Conditions, batch_size: int) -> KnownData:
        """Return the known modality data in ``conditions``."""
        data = self.read(conditions)
        complete = frozenset(name for name, one in data.items() if one.known.all())
        return KnownData(encodings=self.network.encode(data, batch_size), data=data, complete=complete)

    def _estimated(self, given: KnownData) -> list[Modality]:
        """Return the modalities whose E is estimated: not fully known, aggregated, and not a network input (-X: X = 0)."""
        return [
            m
            for m, shift in zip(self.modalities, self.shifts)
            if m.name in self.config.aggregated and not m.concatenate and shift.any() and m.name not in given.complete
        ]
