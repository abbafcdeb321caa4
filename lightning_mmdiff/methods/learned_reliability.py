"""Reliabilities and weights learned per timestep, for Eq. 10 of Unite and Conquer (not in any of the papers).

Unite and Conquer has constants w_i and a_j; Collaborative Diffusion's dynamic diffuser predicts an influence for every image,
pixel and step. This lies in between: smooth functions of the timestep, w_i(t) and a_j(t) with sum a = 1, that minimize the
denoising loss of frozen experts on the training images.

At a given t, Eq. 10 is linear: with residuals r_i = eps_i(x_i) - eps and s_j = eps_j(null) - eps, its error is c . (r, s)
with c = (w, -(sum w - 1) a), whose entries sum to 1. So the loss depends on the data only through the matrix G(t) of mean
products of residuals: it is c(t)^T G(t) c(t). Training accumulates G and descends on all of it; the experts run once per image.
The loss yields only as much guidance as denoises best; ``total_weight`` fixes sum w for comparisons at equal guidance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff import schedules, seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.unite_and_conquer import Expert, ExpertCombination, unite
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.diffusion import DiffusionModel
from lightning_mmdiff.models.training import SupervisedModel
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions


@dataclass(frozen=True, kw_only=True)
class ReliabilityConfig(ModelConfig):
    """Curves over time and how to fit them."""

    conditions: tuple[tuple[str, ...], ...]
    """Names of the conditions given to each expert."""
    num_terms: int = 4
    """Number of Chebyshev polynomials of t per curve; 1 is constant in time. There are 2 N num_terms parameters."""
    total_weight: float | None = None
    """Sum of the weights at every t: the guidance strength (N for w = 1). None learns it."""
    min_snr: float | None = None
    """gamma of min-SNR loss weighting; None is unit weight on the error of eps."""
    num_bins: int = 50
    """Number of intervals of t in which products of residuals are averaged."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=0.05, betas=(0.9, 0.99), decay_steps=300)

    def build(self, *, seed: int, experts: Sequence[DiffusionModel]) -> "LearnedReliability":
        """Build the curves over trained experts."""
        return LearnedReliability(experts, self, seed=seed)

    @property
    def calls_per_step(self) -> int:
        """Two calls for each expert: with and without its conditions."""
        return 2 * len(self.conditions)

    @property
    def frozen_calls(self) -> int:
        """All: only numbers are fitted."""
        return self.calls_per_step

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("conditions")
        self._at_least(1, "num_terms", "num_bins")
        self._positive("total_weight", "min_snr")


def chebyshev(t: Tensor, num_steps: int, num_terms: int) -> Tensor:
    """Return cos(k arccos(u)), u = 2t / (T - 1) - 1, float64 [..., num_terms], at timesteps t [...] in 0 ... T - 1."""
    u = (2 * t.double() / (num_steps - 1) - 1).clamp(-1, 1)
    return (u.arccos().unsqueeze(-1) * torch.arange(num_terms, device=t.device)).cos()


def residual_products(eps_cond: Tensor, eps_null: Tensor, eps: Tensor) -> Tensor:
    """Return the mean product of each pair of residuals, float64 [B, 2N, 2N], conditional predictions first.

    Args:
        eps_cond: eps_i(z_t, x_i, t), [N, B, C, H, W].
        eps_null: eps_j(z_t, null, t), [N, B, C, H, W].
        eps: noise in z_t, [B, C, H, W].
    """
    residual = (torch.cat([eps_cond, eps_null]) - eps).flatten(2).double()  # [2N, B, CHW]
    return torch.einsum("mbp,nbp->bmn", residual, residual) / residual.shape[2]


def united_error(products: Tensor, weight: Tensor, reliability: Tensor) -> Tensor:
    """Return the mean squared error of Eq. 10, c^T G c with c = (w, -(sum w - 1) a), [...].

    Args:
        products: G, mean products of residuals, [..., 2N, 2N].
        weight: w_i, [..., N].
        reliability: a_j, [..., N], sums to 1.
    """
    null = -(weight.sum(dim=-1, keepdim=True) - 1) * reliability
    c = torch.cat([weight, null], dim=-1)
    return torch.einsum("...m,...mn,...n->...", c, products, c)


class LearnedReliability(SupervisedModel, ExpertCombination):
    """Unite and Conquer with w_i(t) and a_j(t) fitted to the denoising loss, initialized to its constants w = 1 and a = 1/N."""

    products: Tensor
    counts: Tensor

    def __init__(
        self,
        denoisers: Sequence[DiffusionModel],
        config: ReliabilityConfig,
        *,
        sampler: schedules.Sampler | None = None,
        seed: int = 0,
    ) -> None:
        """Start from constant weights and reliabilities.

        Args:
            denoisers: trained experts that know the null condition.
            config: curves.
            sampler: default that of the first expert.
            seed: seed of timesteps, noise, and sampling.

        Raises:
            UserError: if the numbers of experts and of condition sets differ.
        """
        if len(denoisers) != len(config.conditions):
            raise UserError(f"{len(denoisers)} experts were given with conditions for {len(config.conditions)}.")
        experts = [Expert(denoiser=d, conditions=names) for d, names in zip(denoisers, config.conditions)]
        ExpertCombination.__init__(self, experts, sampler=sampler or denoisers[0].sampler, sampling_seed=seed)
        self.config, self.seed, self.optimizer_config = config, seed, config.optimizer
        count = len(experts)
        self.weight_terms = nn.Parameter(torch.zeros(count, config.num_terms, dtype=torch.float64))
        self.reliability_terms = nn.Parameter(torch.zeros(count, config.num_terms, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(config.num_bins, 2 * count, 2 * count, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(config.num_bins, dtype=torch.float64))

    def train(self, mode: bool = True) -> "LearnedReliability":
        """Set the training mode; the experts stay in evaluation mode."""
        super().train(mode)
        self.models.eval()
        return self

    def curves(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return w_i(t) > 0 and a_i(t) >= 0 with sum a = 1, float64 [..., N] each, at timesteps t [...]."""
        terms = chebyshev(t.to(self.device), len(self.schedule), self.config.num_terms)
        weight, reliability = terms @ self.weight_terms.T, (terms @ self.reliability_terms.T).softmax(dim=-1)
        if self.config.total_weight is None:
            return weight.exp(), reliability
        return self.config.total_weight * weight.softmax(dim=-1), reliability

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise by Eq. 10 with the coefficients at time t (a scalar)."""
        weight, reliability = (curve.to(z) for curve in self.curves(t))
        if self.config.total_weight == 1:  # no unconditional term
            eps = self.evaluate(z, t, [(e.denoiser, e.conditions) for e in self.experts], conditions)
            return torch.einsum("n,nbchw->bchw", weight, torch.stack(eps))
        return unite(*self.predictions(z, t, conditions), weight, reliability)

    @torch.no_grad()
    def predictions(self, z: Tensor, t: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Return eps_i(z_t, x_i, t) and eps_j(z_t, null, t), [N, B, C, H, W] each; t is a scalar or [B]."""
        conditional = [(e.denoiser, e.conditions) for e in self.experts]
        null = [(model, ()) for model, _ in conditional]
        eps = torch.stack(self.evaluate(z, t, [*conditional, *null], conditions))
        return eps[: len(null)], eps[len(null) :]

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Add the batch to the mean products; return the curves' error on all data seen so far, a scalar."""
        self._observe(batch, generator, self.products, self.counts)
        return self._error(self.products, self.counts)

    def held_out(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return the curves' error on the batch alone, which is not added to the mean products."""
        products, counts = torch.zeros_like(self.products), torch.zeros_like(self.counts)
        self._observe(batch, generator, products, counts)
        return {"loss": self._error(products, counts)}

    def _error(self, products: Tensor, counts: Tensor) -> Tensor:
        """Return the mean error of the curves, given the sums of products [bins, 2N, 2N] and their counts [bins]."""
        seen = counts > 0
        middle = (torch.arange(len(seen), device=self.device) + 0.5) * len(self.schedule) / len(seen) - 0.5
        mean = products[seen] / counts[seen].view(-1, 1, 1)
        return (counts[seen] * united_error(mean, *self.curves(middle[seen]))).sum() / counts.sum()

    @torch.no_grad()
    def _observe(self, batch: Mapping[str, Any], generator: torch.Generator, products: Tensor, counts: Tensor) -> None:
        """Add the products of a batch's residuals to their sums per interval of t, and their numbers to the counts.

        Args:
            batch: training or held-out images.
            generator: source of timesteps and noise.
            products: sums, float64 [bins, 2N, 2N], changed in place.
            counts: numbers, float64 [bins], changed in place.
        """
        z0 = self.experts[0].denoiser.clean(batch, generator)
        t = seeding.randint(len(self.schedule), len(z0), generator).to(z0.device)
        eps = seeding.randn(z0.shape, generator).to(z0.device)
        z = self.schedule.add_noise(z0, eps, t)
        conditions = self.encode_conditions(batch.get("conditions", {}))
        found = residual_products(*self.predictions(z, t, conditions), eps)
        if self.config.min_snr is not None:
            found = found * self.schedule.min_snr_weight(t, self.config.min_snr, "eps").view(-1, 1, 1)
        bins = t * self.config.num_bins // len(self.schedule)
        products.index_add_(0, bins, found)
        counts.index_add_(0, bins, torch.ones_like(bins, dtype=torch.float64))
