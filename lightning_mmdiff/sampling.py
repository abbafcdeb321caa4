"""The denoising loop, in the LightningModule that every sampling method extends by defining ``predict_noise``."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.noise import NoiseSchedule
from lightning_mmdiff.schedules import Sampler, make_scheduler
from lightning_mmdiff.transfer import moved

Conditions = Mapping[str, Any]
"""Condition name -> uint8 [B, C, H, W] in [0, 255], float [B, D], int64 [B] (class), or a list of B captions. Absent means
missing."""
NoisePrediction = Callable[[Tensor, Tensor, Conditions], Tensor]
"""Function from z_t [B, C, H, W], t (scalar) and conditions to the predicted noise, [B, C, H, W]."""


def noise_source(scheduler: Any, generators: Sequence[torch.Generator] | None) -> dict[str, Any]:
    """Return the keyword arguments that pass ``generators`` to ``scheduler.step``; empty if the scheduler adds no noise."""
    takes_noise = generators is not None and "generator" in inspect.signature(scheduler.step).parameters
    return {"generator": list(generators or ())} if takes_noise else {}


class SchedulerWrapper:
    """A scheduler around another scheduler; a subclass changes the timesteps or the step."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.timesteps: Tensor = inner.timesteps

    def set_timesteps(self, num_steps: int, device: torch.device | str | None = None) -> None:
        """Choose the timesteps for a batch."""
        self.inner.set_timesteps(num_steps, device=device)
        self.timesteps = self.inner.timesteps

    def step(
        self, model_output: Tensor, t: Tensor, z: Tensor, generator: Sequence[torch.Generator] | None = None
    ) -> Any:
        """Step from z_t to the next cleaner timestep, returned as ``prev_sample`` [B, C, H, W].

        Args:
            model_output: what ``predict_noise`` returned, [B, C, H, W] or with more channels.
            t: one of ``timesteps``.
            z: z_t, [B, C, H, W].
            generator: noise source of each image, for schedulers that add noise.
        """
        return self.inner.step(model_output, t, z, **noise_source(self.inner, generator))


class SamplingModule(LightningModule, ABC):
    """A method that turns conditions into images: subclasses define ``predict_noise``; ``predict_step`` is common to all.

    A method may also override how sampling starts (``initial_latents``), steps (``scheduler``) and ends (``decode``).
    Image i depends only on (sampling seed, i), so ``Trainer.predict`` may distribute the images in any way.
    """

    def __init__(
        self, *, sampler: Sampler, schedule: NoiseSchedule, shape: tuple[int, int, int], sampling_seed: int = 0,
        latent: bool = False,
    ) -> None:  # fmt: skip
        """Store the sampling settings.

        Args:
            sampler: steps from z_T to z_0.
            schedule: noise schedule.
            shape: [C, H, W] of one image or latent.
            sampling_seed: image i depends only on this seed and i.
            latent: whether z is a latent, which is not in [-1, 1].

        Raises:
            UserError: if the sampler clips latents.
        """
        super().__init__()
        self.schedule, self.shape, self.sampling_seed, self.is_latent = schedule, shape, sampling_seed, latent
        self.sampler = sampler

    @property
    def sampler(self) -> Sampler:
        """Steps from z_T to z_0."""
        return self._sampler

    @sampler.setter
    def sampler(self, sampler: Sampler) -> None:
        if self.is_latent and sampler.clip:
            raise UserError("Latents are not in [-1, 1]: the sampler of a model of latents needs clip=False.")
        self._sampler = sampler

    @abstractmethod
    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise in z_t [B, C, H, W] at time t (scalar) under ``conditions``; this defines the method."""

    def without_shift(self, z: Tensor, t: Tensor, output: Tensor) -> Tensor:
        """Return alpha_t z_0 + sigma_t eps, [B, C, H, W]: z_t itself, unless a method adds other terms to z_t.

        ``output`` is the value of ``predict_noise`` for z_t at t (scalar).
        """
        return z

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Prepare the conditions once per batch, before the loop (e.g., embed captions)."""
        return conditions

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Sample the starting point z_T ~ N(0, I), [B, C, H, W]; image i draws only from ``generators[i]``."""
        return moved(torch.stack([torch.randn(self.shape, generator=g) for g in generators]), self.device)

    def scheduler(self, batch: Mapping[str, Any]) -> Any:
        """Return the scheduler for one batch, with diffusers' ``set_timesteps``, ``timesteps`` and ``step``.

        ``batch`` also has its "encoded" conditions; what a method must remember between steps lives in the scheduler.
        """
        return make_scheduler(self.sampler, self.schedule)

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Return the image [B, 3, H, W] in [-1, 1] for z_0 [B, C, H, W] (e.g., decode a latent)."""
        return z

    @torch.inference_mode()
    def predict_step(
        self, batch: Mapping[str, Any], batch_idx: int = 0, *, predict_noise: NoisePrediction | None = None
    ) -> Tensor:
        """Sample one image for each item of ``batch`` by the reverse process from z_T to z_0.

        Args:
            batch: "index", int64 [B], image numbers; "conditions", see ``Conditions``.
            batch_idx: unused; passed by Lightning.
            predict_noise: replacement for the method's own, used to observe its steps.

        Returns:
            uint8 [B, 3, H, W] in [0, 255], on the CPU.
        """
        predict_noise = predict_noise or self.predict_noise
        generators = [seeding.image_generator(self.sampling_seed, int(i)) for i in batch["index"]]
        z = self.initial_latents(batch, generators)
        conditions = self.encode_conditions(batch.get("conditions", {}))
        scheduler = self.scheduler({**batch, "encoded": conditions})
        scheduler.set_timesteps(self.sampler.num_steps)  # on the CPU: reading one would wait for the device
        options = noise_source(scheduler, generators)
        for t in scheduler.timesteps:
            z = scheduler.step(predict_noise(z, t, conditions), t, z, **options).prev_sample
        return images.to_uint8(self.decode(z, batch)).cpu()


class SamplingWrapper(SamplingModule):
    """A method around another, frozen module: it uses that module's sampler and behavior, except what a subclass overrides."""

    def __init__(self, model: SamplingModule, *, sampling_seed: int = 0) -> None:
        super().__init__(
            sampler=model.sampler, schedule=model.schedule, shape=model.shape, sampling_seed=sampling_seed,
            latent=model.is_latent,
        )  # fmt: skip
        self.model = model.requires_grad_(False).eval()

    @property
    def sampler(self) -> Sampler:
        """The wrapped module's sampler; assigning one gives it to that module, whose scheduler it is."""
        return self.model.sampler

    @sampler.setter
    def sampler(self, sampler: Sampler) -> None:
        if "model" in self._modules:  # not yet while the base class is made
            self.model.sampler = sampler

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Delegate to the wrapped module."""
        return self.model.predict_noise(z, t, conditions)

    def without_shift(self, z: Tensor, t: Tensor, output: Tensor) -> Tensor:
        """Delegate to the wrapped module."""
        return self.model.without_shift(z, t, output)

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Delegate to the wrapped module."""
        return self.model.encode_conditions(conditions)

    def initial_latents(self, batch: Mapping[str, Any], generators: Sequence[torch.Generator]) -> Tensor:
        """Delegate to the wrapped module."""
        return self.model.initial_latents(batch, generators)

    def scheduler(self, batch: Mapping[str, Any]) -> Any:
        """Delegate to the wrapped module."""
        return self.model.scheduler(batch)

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Delegate to the wrapped module."""
        return self.model.decode(z, batch)
