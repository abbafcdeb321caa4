"""Unite and Conquer (Nair et al., CVPR 2023): Sec. 3, Eq. 8, 10, 11, 17, 18, and supplement 7.2 (different noise schedules).

Notation: eps_cond -> eps_i(z_t, x_i, t); eps_null -> eps_j(z_t, null, t); weight -> w_i (beta_i in the supplement);
reliability -> a_j.

    python -m experiments.table1
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightning_mmdiff import schedules
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig, Trained
from lightning_mmdiff.models.diffusion import DiffusionModel, in_calls, stack
from lightning_mmdiff.noise import match
from lightning_mmdiff.sampling import Conditions, SamplingModule
from lightning_mmdiff.transfer import moved

Coefficient = float | Callable[[int], float]
"""A number, or a function of the timestep t in 0 ... T - 1."""
Request = tuple[DiffusionModel, tuple[str, ...]]
"""A model and the conditions that it is given; none is the null condition."""


def unite(eps_cond: Tensor, eps_null: Tensor, weight: Tensor, reliability: Tensor) -> Tensor:
    """Return the noise under all modalities (Eq. 10; Eq. 8 is weight = 1, Eq. 11 is N = 1, Eq. 18 is the same with beta = w).

    Args:
        eps_cond: eps_i(z_t, x_i, t), [N, B, C, H, W].
        eps_null: eps_j(z_t, null, t), [N, B, C, H, W].
        weight: w_i, guidance weight of each modality, [N].
        reliability: a_j, reliability of each unconditional model, [N], sums to 1.

    Returns:
        eps_c, [B, C, H, W].
    """
    eps_x = torch.einsum("n,nbchw->bchw", weight, eps_cond)
    eps_u = torch.einsum("n,nbchw->bchw", reliability, eps_null)
    return eps_x - (weight.sum() - 1) * eps_u  # Eq. 10


@dataclass(frozen=True, kw_only=True)
class Expert:
    """A diffusion model and the conditions it is conditioned on. Experts may share one model."""

    denoiser: DiffusionModel
    conditions: tuple[str, ...]
    weight: Coefficient = 1.0
    """w_i; the paper requires w_i >= 1."""
    reliability: Coefficient | None = None
    """a_i; None is 1 / N."""
    null: tuple[str, ...] = ()
    """Conditions of the unconditional prediction; none is the model's own null."""


def filled_from(name: str) -> tuple[str, str]:
    """Return the condition of the model and the one of the batch that fills it: "text@full_caption" gives both, "text" twice."""
    own, _, other = name.partition("@")
    return own, other or own


class ExpertCombination(SamplingModule):
    """Several diffusion models evaluated together, with one batched call per distinct model and step."""

    unsaved: ClassVar[tuple[str, ...]] = ("models",)
    across_spaces: ClassVar[bool] = False
    """Whether experts may denoise different shapes."""

    def __init__(self, experts: Sequence[Expert], *, sampler: schedules.Sampler, sampling_seed: int = 0):
        """Sample on the first expert's noise schedule; the others are matched to it (supplement 7.2).

        Raises:
            UserError: if there is no expert, experts denoise images of different shapes, or an expert lacks its condition.
        """
        if not experts:
            raise UserError("No expert was given; Unite and Conquer needs at least one.")
        shapes = [e.denoiser.shape for e in experts]
        if len(set(shapes)) > 1 and not self.across_spaces:
            raise UserError(f"All experts must denoise the same shape (paper, Sec. 6); these have {shapes}.")
        for e in experts:
            asked = {filled_from(name)[0] for name in (*e.conditions, *e.null)}
            if unknown := sorted(asked - set(e.denoiser.condition_names)):
                known = ", ".join(e.denoiser.condition_names) or "no condition"
                raise UserError(f"An expert is asked about {', '.join(unknown)}, but its model knows {known}.")
        first = experts[0].denoiser
        super().__init__(
            sampler=sampler, schedule=first.schedule, shape=first.shape, sampling_seed=sampling_seed,
            latent=first.is_latent,
        )  # fmt: skip
        self.experts = tuple(experts)
        self.distinct = tuple(dict.fromkeys(e.denoiser for e in experts))
        self.models = nn.ModuleList(self.distinct).requires_grad_(False).eval()
        names = [model.own_tokens for model in self.distinct if model.own_tokens]
        if len(set(names)) < len(names):
            raise UserError(f"Each expert that encodes its own tokens needs another name for them; these have {names}.")

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Encode the conditions (e.g., embed captions) with each model that needs it."""
        for model in self.distinct:
            conditions = model.encode_conditions(conditions)
        filled = {}
        for e in self.experts:
            for name in (*e.conditions, *e.null):
                own, other = filled_from(name)
                if own != other:
                    value = conditions[other]
                    text = not isinstance(value, Tensor)
                    filled[name] = e.denoiser.encode_conditions({"caption": value})[own] if text else value
        return {**conditions, **filled}

    def decode(self, z: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Decode with the first expert (e.g., a latent to an image)."""
        return self.experts[0].denoiser.decode(z, batch)

    def evaluate(
        self, z: Tensor | Sequence[Tensor], t: Tensor, requests: Sequence[Request], conditions: Conditions
    ) -> list[Tensor]:
        """Return the predicted noise, [B, C, H, W] each, for each requested pair of a model and its conditions.

        Requests for the same model run as one batch, and equal requests of the same z run once.

        Args:
            z: z_t, [B, C, H, W], or one for each request.
            t: timesteps, a scalar or [B].
            requests: pairs of a model and names of conditions; no names is the null condition.
            conditions: of the batch, encoded.
        """
        latents = [z] * len(requests) if isinstance(z, Tensor) else list(z)
        keys = [(id(model), names, id(own)) for (model, names), own in zip(requests, latents, strict=True)]
        noise: dict[tuple[int, tuple[str, ...], int], Tensor] = {}
        for model in dict.fromkeys(model for model, _ in requests):
            wanted = {key: (names, own) for key, (m, names), own in zip(keys, requests, latents) if m is model}
            count = len(latents[0])
            rows = [
                model.encode({filled_from(n)[0]: conditions[n] for n in names if n in conditions}, count)
                for names, _ in wanted.values()
            ]
            t_model, scale = match(self.schedule, t, model.schedule)  # supplement 7.2
            eps = in_calls(
                model.predict_eps,
                torch.cat(
                    [own * moved(scale, own.device, own.dtype).view(-1, 1, 1, 1) for _, own in wanted.values()]
                ),  # [len(wanted) * B, ...]
                t_model.expand(count).repeat(len(wanted)),
                stack(rows),
            )
            noise.update(dict(zip(wanted, eps.chunk(len(wanted)))))
        return [noise[key] for key in keys]


class UniteAndConquer(ExpertCombination):
    """Sampling from the generalized product of experts with reliability factors (Eq. 10)."""

    def __init__(self, experts: Sequence[Expert], *, sampler: schedules.Sampler, sampling_seed: int = 0):
        """Check the weights and reliabilities at every timestep.

        Raises:
            UserError: if the reliabilities do not sum to 1, or a weight is not positive.
        """
        super().__init__(experts, sampler=sampler, sampling_seed=sampling_seed)
        all_times = [self.coefficients(t) for t in range(len(self.schedule))]
        for weight, reliability in all_times:
            check_coefficients(weight, reliability)
        if min(min(weight) for weight, _ in all_times) < 1:
            warnings.warn(
                "A weight is below 1; Eq. 10 asks for w >= 1 (the released preset breaks it too).", stacklevel=2
            )

    def coefficients(self, t: int) -> tuple[list[float], list[float]]:
        """Return w_i(t) and a_i(t) of all experts."""
        even = 1 / len(self.experts)
        return (
            [_at(e.weight, t) for e in self.experts],
            [even if e.reliability is None else _at(e.reliability, t) for e in self.experts],
        )

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise by Eq. 10; a model is not called for terms whose coefficient is zero."""
        weight, reliability = self.coefficients(int(t))
        use_null = not math.isclose(sum(weight), 1)
        conditional = [(e.denoiser, e.conditions) for e in self.experts]
        null = [(e.denoiser, e.null) for e, a in zip(self.experts, reliability) if use_null and a != 0]
        eps = self.evaluate(z, t, [*conditional, *null], conditions)
        eps_cond, rest = torch.stack(eps[: len(conditional)]), iter(eps[len(conditional) :])
        zero = torch.zeros_like(z)
        eps_null = torch.stack([next(rest) if use_null and a != 0 else zero for a in reliability])
        return unite(
            eps_cond, eps_null, *(moved(torch.tensor(c, dtype=z.dtype), z.device) for c in (weight, reliability))
        )

    def terms(self, t: int) -> tuple[list[Request], list[float]]:
        """Return what Eq. 10 asks at t, and its coefficients c_k, which sum to 1: w_i, then -(W - 1) a_j where not zero."""
        weight, reliability = self.coefficients(t)
        shares = [-(sum(weight) - 1) * a for a in reliability]
        null = [
            (e.denoiser, e.null, share)
            for e, share in zip(self.experts, shares)
            if not math.isclose(share, 0, abs_tol=1e-9)
        ]
        requests: list[Request] = [(e.denoiser, e.conditions) for e in self.experts]
        return [*requests, *((m, names) for m, names, _ in null)], [*weight, *(share for _, _, share in null)]


def experts_of(uses: Sequence[ExpertUse], trained: Trained) -> list[Expert]:
    """Return the trained experts of a config; those with the same source share one model."""
    return [
        Expert(
            denoiser=trained(u.run), conditions=u.conditions, weight=u.weight, reliability=u.reliability, null=u.null
        )
        for u in uses
    ]


@dataclass(frozen=True, kw_only=True)
class Unite(MethodConfig):
    """Config for uniting experts by Eq. 10."""

    experts: tuple[ExpertUse, ...]

    def build(self, trained: Trained, *, sampler: schedules.Sampler, seed: int) -> UniteAndConquer:
        """Build the generalized product of the experts."""
        return UniteAndConquer(experts_of(self.experts, trained), sampler=sampler, sampling_seed=seed)

    @property
    def calls_per_step(self) -> int:
        """Two calls for each expert: with and without its conditions."""
        return 2 * len(self.experts)


def check_coefficients(weight: Sequence[float], reliability: Sequence[float]) -> None:
    """Raise UserError for coefficients that violate Eq. 5 or Eq. 10."""
    if abs(sum(reliability) - 1) > 1e-6:
        raise UserError(f"Reliabilities must sum to 1 (Eq. 5); {list(reliability)} sum to {sum(reliability):g}.")
    if min(weight) <= 0:
        raise UserError(f"Weights must be positive (Eq. 10 asks for w >= 1); got {list(weight)}.")


def _at(coefficient: Coefficient, t: int) -> float:
    return coefficient(t) if callable(coefficient) else coefficient
