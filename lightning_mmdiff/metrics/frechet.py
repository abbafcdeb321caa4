"""Frechet distance between two sets of features taken as Gaussians (Heusel et al. 2017, Eq. 6), in float64.

d^2 = |mu_x - mu_y|^2 + tr(S_x) + tr(S_y) - 2 tr((S_x S_y)^{1/2})

It is called "FID" on Inception features in clean-fid's "clean" protocol and "FD-EffNetLite0" on EfficientNet-Lite0's.
The distance of n images is biased upwards, roughly by a constant over n: compare only equal n, and print real images too.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mmdiff.errors import UserError

Array = NDArray[np.float64]


def _tensor(a: Array) -> Tensor:
    """Return ``a`` in float64 on the GPU, if there is one: decompositions of 2048 x 2048 take seconds on a CPU."""
    return torch.from_numpy(a).to("cuda" if torch.cuda.is_available() else "cpu")


def _product(a: Array, b: Array) -> Tensor:
    return _tensor(a) @ _tensor(b).T


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Gaussian given by a root of its covariance, which can be much smaller than the covariance."""

    mean: Array  # [D]
    root: Array  # [r, D], covariance = root^T root, r <= D


def frechet_distance(mu1: Array, sigma1: Array, mu2: Array, sigma2: Array) -> float:
    """Return d^2 of N(mu1, sigma1) and N(mu2, sigma2).

    Args:
        mu1: mean of the first Gaussian, [D].
        sigma1: its covariance, [D, D].
        mu2: mean of the second Gaussian, [D].
        sigma2: its covariance, [D, D].
    """
    if mu1.shape != mu2.shape or sigma1.shape != sigma2.shape:
        raise UserError(f"Statistics of different features: means {mu1.shape} and {mu2.shape}.")
    values, vectors = np.linalg.eigh(np.asarray(sigma1, np.float64))
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T  # sigma1^{1/2}, symmetric
    # The eigenvalues of sigma1 sigma2 are those of the symmetric sigma1^{1/2} sigma2 sigma1^{1/2}.
    trace_root = np.sqrt(np.linalg.eigvalsh(root @ sigma2 @ root).clip(min=0)).sum()
    mean_term = np.square(np.subtract(mu1, mu2, dtype=np.float64)).sum()
    return float(mean_term + np.trace(sigma1) + np.trace(sigma2) - 2 * trace_root)


def fit_gaussian(features: NDArray) -> Gaussian:
    """Return the Gaussian fitted to ``features`` [N, D] (covariance over N - 1, as usual for FID)."""
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise UserError(f"A Frechet distance needs features [N, D] of at least 2 images, got {list(features.shape)}.")
    if not np.isfinite(features).all():
        raise UserError(f"{(~np.isfinite(features)).any(axis=1).sum()} of {len(features)} images have NaN features.")
    mean = features.mean(axis=0)
    root = (features - mean) / np.sqrt(len(features) - 1)  # S = root^T root
    if len(root) > root.shape[1]:
        root = torch.linalg.qr(_tensor(root), mode="r").R.cpu().numpy()  # same S, D rows
    return Gaussian(mean=mean, root=root)


def frechet_between(x: Gaussian, y: Gaussian) -> float:
    """Return d^2 without forming a covariance.

    With S_x = A^T A and S_y = B^T B, the eigenvalues of S_x S_y are the squared singular values of A B^T, so
    tr((S_x S_y)^{1/2}) is the nuclear norm of A B^T: for 256 images, a matrix with 256 rows instead of D = 1280.
    """
    if x.mean.shape != y.mean.shape:
        raise UserError(f"Features of {x.mean.size} and {y.mean.size} dimensions: not from one network.")
    trace_root = torch.linalg.svdvals(_product(x.root, y.root)).sum().item()
    spread = np.square(x.root).sum() + np.square(y.root).sum()  # tr(S_x) + tr(S_y)
    return float(np.square(x.mean - y.mean).sum() + spread - 2 * trace_root)


def influences(features: NDArray, reference: Gaussian) -> Array:
    """Return how fast d^2 changes with the weight of each image, times N, [N]; they sum to 0.

    Means of resampled influences spread as d^2 does among new images. The distances of resamples spread more, by 1.1 to 2.5
    times (64 or 256 images, 32 to 1280 features): the spectrum of a covariance of few images is not what it is of a resample.

    With S_x = A^T A and S_y = B^T B, the derivative of tr((S_x S_y)^{1/2}) takes the diagonal of (A B^T B A^T)^{1/2}.

    Args:
        features: of the generated images, [N, D].
        reference: Gaussian of the reference, which stays.
    """
    x = fit_gaussian(features)
    deviations, n = np.asarray(features, np.float64) - x.mean, len(features)
    roots = _diagonal_of_root(_product(deviations, reference.root) / np.sqrt(n - 1)).cpu().numpy()
    spread = np.square(deviations).sum(axis=1) / (n - 1) - roots
    found = 2 * deviations @ (x.mean - reference.mean) + n * spread
    return found - found.mean()


def _diagonal_of_root(a: Tensor) -> Tensor:
    """Return the diagonal of (a a^T)^{1/2}, [n], for ``a`` [n, r], from the smaller of a a^T and a^T a."""
    if len(a) <= a.shape[1]:
        vectors, values, _ = torch.linalg.svd(a, full_matrices=False)
        return vectors.square() @ values
    squares, vectors = torch.linalg.eigh(a.T @ a)
    values = squares.clamp(min=0).sqrt()
    kept = values > 1e-9 * values.max()
    return (a @ vectors[:, kept]).square() @ (1 / values[kept])


def frechet_from_features(x: NDArray, y: NDArray) -> float:
    """Return d^2 of the Gaussians fitted to features ``x`` [N, D] and ``y`` [M, D]."""
    return frechet_between(fit_gaussian(x), fit_gaussian(y))
