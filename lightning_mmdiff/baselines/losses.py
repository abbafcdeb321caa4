"""Losses of adversarial training: hinge (Lim & Ye 2017), least squares (Mao et al. 2017), cross-entropy (Goodfellow 2014)."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Logits = Sequence[Tensor]
"""Logits of the patches at each scale, each [B, 1, h, w]; positive means real."""
PatchLoss = Callable[[Tensor, bool], Tensor]
"""Function from logits and "should they say real?" to a scalar."""


def hinge_discriminator(logits: Tensor, real: bool) -> Tensor:
    """Return mean max(0, 1 - D) on real images, mean max(0, 1 + D) on generated ones."""
    return F.relu(1 - logits if real else 1 + logits).mean()


def hinge_generator(logits: Tensor) -> Tensor:
    """Return mean -D on generated images."""
    return -logits.mean()


def least_squares(logits: Tensor, real: bool) -> Tensor:
    """Return mean (D - 1)^2 where ``real``, else mean D^2."""
    return ((logits - 1) if real else logits).square().mean()


def cross_entropy(logits: Tensor, real: bool) -> Tensor:
    """Return the mean binary cross-entropy of logits against ``real``."""
    return F.softplus(-logits if real else logits).mean()


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return the sum over layers of the mean absolute difference of features (Wang et al. 2018, Eq. 4), without 1/N.

    Args:
        fake: features of generated images, one tensor a layer.
        real: features of real images, of the same shapes; receive no gradient.
    """
    return torch.stack([F.l1_loss(f, r.detach()) for f, r in zip(fake, real, strict=True)]).sum()


def standard_normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) || N(0, I)), summed over everything (SPADE's and INADE's encoders)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
