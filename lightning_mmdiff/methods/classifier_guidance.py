"""Classifier guidance (ADM, Dhariwal & Nichol 2021, Sec. 4.1 and 4.2): the rows "g" of MT-Diffusion's Table 3.

It samples from p(z | y) ~ p(z) p(y | z)^s around any method: MT-Diffusion, one denoiser, united experts. Two forms:

    score  eps - s sigma_t grad log p(y | z_t), for every sampler (Eq. 14, Algorithm 2; written for DDIM)
    mean   shifts the mean of p(z_(t-1) | z_t) by s Sigma_t grad log p(y | z_t) (Algorithm 1), for OpenAI's ancestral sampler

Both take the gradient at z_t, as in ADM's code (the derivation of Sec. 4.1 takes it at the mean). In an ancestral step,
"score" shifts the mean by s beta_t / sqrt(1 - beta_t) times the gradient, and "mean" by s times the variance of the added
noise, which lies between beta~_t and beta_t: the fewer the steps, the larger the difference. If the sampler clips z_0, both
guide what it clipped, as in ADM's code: "score" recomputes eps from the clipped z_0, and its guided z_0 may leave [-1, 1].

At the last timestep of a cosine schedule z_t is noise alone (alpha_bar = 2e-9), and no class can be read from it. There a
classifier's error moves the guided z_0 by its gradient times 1 / alpha_t, some 20,000, and the next step keeps it: "score" does
not guide where alpha_bar_t is below ``LEAST_SIGNAL``. ADM's linear schedule ends at 4e-5, and is guided at each step.

ADM's scales: 1.0 at 64 pixels, 0.5 at 128, 1.0 at 256 (10.0 with its unconditional model), 4.0 at 512, with 250 steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.models.noisy_classifier import NoisyClassifier
from lightning_mmdiff.noise import match
from lightning_mmdiff.respaced import Step, Variance, make_posterior_table
from lightning_mmdiff.sampling import Conditions, SamplingModule, SamplingWrapper, SchedulerWrapper
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

Form = Literal["score", "mean"]
"""How the gradient enters; see the module docstring."""
LEAST_SIGNAL = 1e-6
"""Smallest alpha_bar_t at which "score" guides."""


def guide(eps: Tensor, gradient: Tensor, sigma: Tensor, scale: float) -> Tensor:
    """Return the noise of the guided model (ADM, Eq. 14).

    Args:
        eps: eps_theta(z_t), [B, C, H, W].
        gradient: gradient of log p(y | z_t) with respect to z_t, [B, C, H, W].
        sigma: sigma_t, a scalar or [B, 1, 1, 1].
        scale: s.
    """
    return eps - scale * sigma * gradient


def log_likelihood_gradient(logits: Callable[[Tensor], Tensor], z: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of log p(y | z) with respect to z, [B, C, H, W]; works inside ``torch.inference_mode``.

    Args:
        logits: function from images [B, C, H, W] to logits [B, K]; each row must depend only on its own image.
        z: [B, C, H, W].
        labels: classes, int64 [B].
    """
    with torch.inference_mode(False), torch.enable_grad():
        z, labels = z.detach().clone().requires_grad_(), labels.clone()  # autograd cannot save inference-mode tensors
        log_likelihood = logits(z).log_softmax(dim=1).gather(1, labels[:, None])
        return torch.autograd.grad(log_likelihood.sum(), z)[0]


class ClassifierGuided(SamplingWrapper):
    """Any sampling module, guided by a classifier toward the label of each image."""

    def __init__(
        self,
        model: SamplingModule,
        classifier: NoisyClassifier,
        *,
        scale: float,
        form: Form = "score",
        sampling_seed: int = 0,
    ) -> None:
        """Wrap the model.

        Args:
            model: module to guide, whose sampler is used. If it is class-conditional, it also receives the label.
            classifier: classifier of z_t; with a different noise schedule, it is evaluated at equal signal-to-noise ratio.
            scale: s; at 0 the classifier is never called and the samples equal those of ``model``.
            form: "score", or ADM's "mean" for the sampler "spaced-ddpm".
            sampling_seed: seed of the images.

        Raises:
            UserError: if the scale is negative, the classifier was not trained on noisy images of this shape, or the form does
                not fit the sampler.
        """
        super().__init__(model, sampling_seed=sampling_seed)
        network = classifier.config.network
        if scale < 0:
            raise UserError(f"scale must be 0 or more, got {scale}: a negative one leads away from the class.")
        if (network.in_channels, network.image_size, network.image_size) != tuple(self.shape):
            raise UserError(
                f"The classifier reads {network.in_channels} x {network.image_size} x {network.image_size}, but the model "
                f"samples {' x '.join(map(str, self.shape))}."
            )
        if not classifier.config.noised:
            raise UserError("The classifier was trained on clean images; guidance needs one with noised=True.")
        if form == "mean" and self.sampler.name != "spaced-ddpm":
            raise UserError(f'form "mean" needs the sampler spaced-ddpm, got {self.sampler.name}: use form "score".')
        self.classifier = classifier.requires_grad_(False).eval()
        self.scale = scale
        self.form = form

    def gradient(self, z: Tensor, t: Tensor, output: Tensor, labels: Tensor) -> Tensor:
        """Return the gradient of log p(y | z_t) with respect to z_t, [B, C, H, W].

        The classifier expects alpha_t z_0 + sigma_t eps, so MT-Diffusion's shift is subtracted first.

        Args:
            z: z_t, [B, C, H, W].
            t: timestep, a scalar.
            output: the model's output at z_t.
            labels: classes, int64 [B].
        """
        z = self.model.without_shift(z, t, output)
        t_classifier, factor = match(self.schedule, t, self.classifier.schedule)
        return log_likelihood_gradient(
            lambda x: self.classifier(x * factor.to(x, copy=True), t_classifier.to(x, copy=True)), z, labels
        )

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the model's noise, in form "score" of the clipped z_0 and shifted by the gradient; a variance is unchanged."""
        output = self.model.predict_noise(z, t, conditions)
        if self.scale == 0 or self.form != "score":
            return output
        labels = self.classifier.labels(conditions, len(z))
        eps, rest = output[:, : z.shape[1]], output[:, z.shape[1] :]
        gradient = self.gradient(z, t, output, labels)
        alpha, sigma = self.schedule.coefficients(t, z)
        if self.sampler.clip:
            y = self.model.without_shift(z, t, output)
            eps = (y - alpha * ((y - sigma * eps) / alpha).clamp(-1, 1)) / sigma
        seen = alpha.square() >= LEAST_SIGNAL
        return torch.cat([guide(eps, gradient * seen, sigma, self.scale), rest], dim=1)

    def scheduler(self, batch: Mapping[str, Any]) -> Any:
        """Return the model's scheduler: with guided steps in form "mean", without clipping in form "score"."""
        if self.scale == 0:
            return self.model.scheduler(batch)
        if self.form == "score":
            return self._unclipped(batch)
        scheduler = self.model.scheduler(batch)
        labels = self.classifier.labels(batch.get("conditions", {}), len(batch["index"]))
        gradient = partial(self.gradient, labels=labels)
        return GuidedMean(scheduler, gradient, self.schedule.alpha_bar, self.sampler.variance, self.scale)

    def _unclipped(self, batch: Mapping[str, Any]) -> Any:
        """Return the model's scheduler for a sampler that does not clip: ``predict_noise`` clips before it guides."""
        sampler = self.sampler
        self.sampler = replace(sampler, clip=False)
        try:
            return self.model.scheduler(batch)
        finally:
            self.sampler = sampler


@dataclass(frozen=True, kw_only=True)
class GuideByClassifier(MethodConfig):
    """Config for guiding any other method by a classifier of noisy images, toward the label of each image.

    As in ADM's code, the form is "mean" for OpenAI's ancestral sampler and "score" for every other.
    """

    method: MethodConfig
    classifier: ModelSource
    scale: float = 1.0
    """s, the guidance scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "scale")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> ClassifierGuided:
        """Build classifier guidance around the method's module."""
        model = self.method.build(trained, sampler=sampler, seed=seed)
        assert isinstance(model, SamplingModule)
        form: Form = "mean" if sampler.name == "spaced-ddpm" else "score"
        return ClassifierGuided(model, trained(self.classifier), scale=self.scale, form=form, sampling_seed=seed)

    @property
    def calls_per_step(self) -> int:
        """Number of network calls of the guided method; the classifier is not a diffusion network."""
        return self.method.calls_per_step


class GuidedMean(SchedulerWrapper):
    """Ancestral steps whose mean is shifted by s Sigma_t grad log p(y | z_t) (ADM, Algorithm 1)."""

    def __init__(
        self,
        inner: Any,
        gradient: Callable[[Tensor, Tensor, Tensor], Tensor],
        alpha_bar: Tensor,
        variance: Variance,
        scale: float,
    ) -> None:
        """Wrap ``inner``.

        Args:
            inner: scheduler that adds noise with ``variance``.
            gradient: function of z_t, t and the model's output.
            alpha_bar: of all timesteps, float64 [T].
            variance: kind of noise variance.
            scale: s.
        """
        super().__init__(inner)
        self._table, self._kept = make_posterior_table(alpha_bar), list(range(len(alpha_bar)))
        self.gradient, self.alpha_bar, self.variance, self.scale = gradient, alpha_bar, variance, scale

    def set_timesteps(self, num_steps: int, device: torch.device | str | None = None) -> None:
        """Choose the timesteps for a batch."""
        super().set_timesteps(num_steps, device)
        self._kept = self.timesteps.flip(0).tolist()  # ascending
        self._table = make_posterior_table(self.alpha_bar[self._kept])

    def step(
        self, model_output: Tensor, t: Tensor, z: Tensor, generator: Sequence[torch.Generator] | None = None
    ) -> Step:
        """Step from z_t to the next cleaner timestep.

        Args:
            model_output: predicted noise [B, C, H, W], or noise and raw variance [B, 2C, H, W].
            t: one of ``timesteps``.
            z: z_t, [B, C, H, W].
            generator: noise source of each image.
        """
        z_s = super().step(model_output, t, z, generator).prev_sample
        return Step(prev_sample=z_s + self.scale * self._sigma(model_output, t, z) * self.gradient(z, t, model_output))

    def _sigma(self, model_output: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Return Sigma_t, the variance of this step's noise, a scalar or [B, C, H, W]."""
        table, k = self._table, self._kept.index(int(t))
        if self.variance == "learned_range":
            return table.log_variance(k, model_output[:, z.shape[1] : 2 * z.shape[1]]).exp()
        if self.variance == "fixed_small" and k == 0:
            return z.new_zeros(())  # beta~_0; only its logarithm, which scales no noise, is replaced by that of beta~_1
        return (table.beta[k] if self.variance == "fixed_large" and k > 0 else table.log_beta_tilde[k].exp()).to(z)
