"""One expert at a time: by pixel, the one with more to say (MagicFusion, Zhao et al. 2023), or by time, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig, Trained
from lightning_mmdiff.methods.unite_and_conquer import Expert, ExpertCombination, Request, experts_of
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler


def saliency(eps_cond: Tensor, eps_null: Tensor, *, blur: float) -> Tensor:
    """Return how much each expert's condition changes each pixel's noise, as shares over the image, [N, B, 1, H, W].

    Args:
        eps_cond: [N, B, C, H, W].
        eps_null: [N, B, C, H, W].
        blur: standard deviation of the blur in pixels; 0 leaves it out.
    """
    change = (eps_cond - eps_null).abs().mean(dim=2, keepdim=True)
    if blur:
        size = 2 * round(2 * blur) + 1
        change = gaussian_blur(change.flatten(0, 1), size, blur).view_as(change)
    return change.flatten(2).softmax(dim=2).view_as(change)


def most_salient(eps: Tensor, saliencies: Tensor) -> Tensor:
    """Return, pixel by pixel, the noise [N, B, C, H, W] of the expert with the largest saliency, [B, C, H, W]."""
    chosen = saliencies.argmax(dim=0, keepdim=True).expand(1, *eps.shape[1:])
    return eps.gather(0, chosen)[0]


class SaliencyBlend(ExpertCombination):
    """Each pixel takes the guided noise of the expert whose condition matters most there.

    Args:
        experts: the experts; weights and reliabilities are ignored.
        guidance: 1 is each expert's own prediction.
        blur: standard deviation of the saliency's blur in pixels.
        sampler: steps from z_T to z_0.
        sampling_seed: image i depends only on this seed and i.
    """

    def __init__(
        self, experts: Sequence[Expert], *, guidance: float, blur: float, sampler: Sampler, sampling_seed: int = 0
    ) -> None:
        super().__init__(experts, sampler=sampler, sampling_seed=sampling_seed)
        self.guidance, self.blur = guidance, blur

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the blended noise, [B, C, H, W]."""
        conditional: list[Request] = [(e.denoiser, e.conditions) for e in self.experts]
        null: list[Request] = [(e.denoiser, ()) for e in self.experts]
        eps_cond, eps_null = torch.stack(self.evaluate(z, t, [*conditional, *null], conditions)).chunk(2)
        guided = eps_null + self.guidance * (eps_cond - eps_null)
        return most_salient(guided, saliency(eps_cond, eps_null, blur=self.blur))


class Switching(ExpertCombination):
    """The first expert above a timestep, the second from it on.

    Args:
        experts: two experts; weights and reliabilities are ignored.
        switch: timestep from which on the second denoises.
        sampler: steps from z_T to z_0.
        sampling_seed: image i depends only on this seed and i.
    """

    def __init__(self, experts: Sequence[Expert], *, switch: int, sampler: Sampler, sampling_seed: int = 0) -> None:
        super().__init__(experts, sampler=sampler, sampling_seed=sampling_seed)
        self.switch = switch

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Return the noise of the expert whose turn it is, [B, C, H, W]."""
        expert = self.experts[0 if int(t) > self.switch else 1]
        return self.evaluate(z, t, [(expert.denoiser, expert.conditions)], conditions)[0]


@dataclass(frozen=True, kw_only=True)
class BlendBySaliency(MethodConfig):
    """Config for blending by saliency."""

    experts: tuple[ExpertUse, ...]
    guidance: float = 1.0
    """1 is each expert's own prediction."""
    blur: float = 1.0
    """Standard deviation in pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "blur")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> SaliencyBlend:
        """Build the sampler."""
        return SaliencyBlend(
            experts_of(self.experts, trained),
            guidance=self.guidance,
            blur=self.blur,
            sampler=sampler,
            sampling_seed=seed,
        )

    @property
    def calls_per_step(self) -> int:
        """Two calls for each expert: with and without its conditions."""
        return 2 * len(self.experts)


@dataclass(frozen=True, kw_only=True)
class Switch(MethodConfig):
    """Config for switching from one expert to another."""

    experts: tuple[ExpertUse, ...]
    switch: int = 500
    """Timestep from which on the second expert denoises."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.experts) != 2:
            raise UserError(f"Switching is between two experts, got {len(self.experts)}.")

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> Switching:
        """Build the sampler."""
        return Switching(experts_of(self.experts, trained), switch=self.switch, sampler=sampler, sampling_seed=seed)

    @property
    def calls_per_step(self) -> int:
        """One: the expert whose turn it is."""
        return 1
