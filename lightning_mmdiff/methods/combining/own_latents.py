"""Own latents: one latent per term of Eq. 10 and one clean image that they share. Derived here; in no paper we know.

Eq. 10 sums scores of noisy densities, which is not the score of the product of the clean ones (PITFALLS, entry 4). If each term
follows its own latent and only the clean image is combined, then for Gaussians the combined latent follows the product itself.
theta = 0 is Eq. 10 with DDIM. SyncTweedies (Kim et al. 2024) has the pattern without weights.
"""

import torch
from torch import Tensor

from lightning_mmdiff.methods.combining.steps import Interval, clean_image, weighted


def own_latents(
    z: Tensor, eps: Tensor, coefficients: Tensor, step: Interval, *, theta: float, clip: bool = False
) -> Tensor:
    """Return the latents at s, [K, ...].

    Args:
        z: latent of each term at t, [K, ...].
        eps: noise that each term predicts for its own latent, [K, ...].
        coefficients: c_k of Eq. 10, [K], sum 1: w_i for conditions, -(W - 1) a_j for nulls.
        step: from t to s.
        theta: 0 renews each term's noise from the shared image, 1 leaves it its own.
        clip: whether to clamp the shared image to [-1, 1].
    """
    own = clean_image(z, eps, step)
    shared = weighted(coefficients, own)
    return towards(eps, own, shared, shared.clamp(-1, 1) if clip else shared, step, theta=theta)


def towards(eps: Tensor, own: Tensor, shared: Tensor, clipped: Tensor, step: Interval, *, theta: float) -> Tensor:
    """Return the latents at s of terms that share a clean image, [...].

    Args:
        eps: noise that each term predicts, [...].
        own: the clean image that it implies, [...].
        shared: the clean image of all terms, in each term's space.
        clipped: the same, clamped to the range of images, or not.
        step: from t to s.
        theta: share of its own noise that a term keeps.
    """
    ratio = step.alpha / step.sigma
    direction = eps + (1 - theta) * ratio * (own - shared) + ratio * (shared - clipped)
    return step.alpha_next * clipped + step.sigma_next * direction


def combined(z: Tensor, coefficients: Tensor) -> Tensor:
    """Return the combined latent sum_k c_k z_k, [...]: at the end, the image."""
    return weighted(coefficients, z)


def same_start(z: Tensor, num_terms: int) -> Tensor:
    """Return the start of every term, [K, ...], the same noise z [...]: terms that start apart never meet."""
    return torch.stack([z] * num_terms)
