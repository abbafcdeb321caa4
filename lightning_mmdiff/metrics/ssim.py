"""Structural similarity (Wang et al. 2004, Eq. 13-16) as Unite and Conquer computes it; higher is closer.

11 x 11 Gaussian window of sigma 1.5, K1 = .01, K2 = .03, dynamic range 255, only pixels whose window lies inside the
image, mean over pixels and the three RGB channels. torchmetrics' mean keeps the (reflected) border and differs; its
full map without the border is equal, as a test shows.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mmdiff.metrics.images import per_image

WINDOW = 11  # pixels
SIGMA = 1.5  # pixels
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2


def ssim(images: Tensor, references: Tensor) -> NDArray[np.float64]:
    """Return the similarity of each image to its reference, [N] in [-1, 1]; both uint8 [N, 3, H, W]."""
    return per_image(_similarity, images, references, smallest=WINDOW)


def _similarity(images: Tensor, references: Tensor) -> Tensor:
    x, y = images.to(torch.float64), references.to(torch.float64)  # float64: the variances are small differences
    rows, columns = (_window_matrix(size) for size in x.shape[2:])

    def mean(z: Tensor) -> Tensor:  # over the window, which is separable: [B, 3, H, W] to [B, 3, H - 10, W - 10]
        return rows @ z @ columns.T

    mu_x, mu_y = mean(x), mean(y)  # Eq. 14
    var_x, var_y = mean(x * x) - mu_x**2, mean(y * y) - mu_y**2  # Eq. 15
    covariance = mean(x * y) - mu_x * mu_y  # Eq. 16
    luminance = (2 * mu_x * mu_y + C1) / (mu_x**2 + mu_y**2 + C1)
    structure = (2 * covariance + C2) / (var_x + var_y + C2)
    return (luminance * structure).mean(dim=(1, 2, 3))  # Eq. 13


def _window_matrix(size: int) -> Tensor:
    """Return the Gaussian average as a matrix, [size - 10, size]: row i weights pixels i..i + 10."""
    weight = torch.exp(-((torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    matrix = torch.zeros(size - WINDOW + 1, size, dtype=torch.float64)
    for i in range(len(matrix)):
        matrix[i, i : i + WINDOW] = weight / weight.sum()
    return matrix
