"""Comparison of each sample with the real image whose conditions it was given."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.protocols.protocol import AT_LEAST_0, COSINE, comparable, image_mean
from experiments.protocols.samples import DEVICE, Features, Samples
from lightning_mmdiff.metrics import lpips, ssim
from lightning_mmdiff.metrics.networks import EffNetLite0

STAGES = Features(network=EffNetLite0, output="distance")


def published_distance(samples: Samples) -> NDArray[np.float64]:
    """Return LPIPS of each image, [N]."""
    return lpips.LPIPS(device=DEVICE)(samples.images, samples.real)


def perceptual_distance(samples: Samples) -> NDArray[np.float64]:
    """Return the stand-in for LPIPS of each image, [N]."""
    if samples.images is samples.real:
        return np.zeros(len(samples.real))
    if samples.are_real:  # images before an edit
        return lpips.PerceptualDistance(device=DEVICE)(samples.images, samples.real)
    return samples.features(STAGES).astype(np.float64)


def structural_similarity(samples: Samples) -> NDArray[np.float64]:
    """Return SSIM of each image, [N]."""
    return ssim.ssim(samples.images, samples.real)


def hidden_psnr(samples: Samples) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio in dB of the hidden pixels of each image that has any."""
    error = (samples.images.double() - samples.real.double()).square()
    hidden = (samples.test["conditions"]["mask"] == 0).double().expand_as(error)
    count = hidden.sum(dim=(1, 2, 3))
    mse = (error * hidden).sum(dim=(1, 2, 3))[count > 0] / count[count > 0]
    return (10 * torch.log10(255**2 / mse.clamp(min=1e-3))).numpy()


def visible_change(samples: Samples) -> NDArray[np.float64]:
    """Return the mean absolute difference of the visible pixels of each image, in gray levels, [N]."""
    error = (samples.images.double() - samples.real.double()).abs()
    visible = (samples.test["conditions"]["mask"] > 0).double().expand_as(error)
    return ((error * visible).sum(dim=(1, 2, 3)) / visible.sum(dim=(1, 2, 3)).clamp(min=1)).numpy()


PROTOCOLS = (
    comparable(
        image_mean(
            "LPIPS", published_distance, better="lower", range=AT_LEAST_0, weights=("alexnet",),
            description="LPIPS (AlexNet, v0.1) between the sample and the real image whose conditions it was given, mean.",
        ),
        "taken as the tool's default network, AlexNet: the papers name none",
    ),
    replace(
        image_mean(
            "PD-EffNetLite0", perceptual_distance, better="lower", range=AT_LEAST_0,
            description="Perceptual distance on EfficientNet-Lite0 stages (224 px) to the real image whose conditions were "
            "given, mean. Not LPIPS.",
        ),
        features=STAGES,
    ),
    comparable(
        image_mean(
            "SSIM", structural_similarity, better="higher", range=COSINE,
            description="11x11 Gaussian window, sigma 1.5, valid crop, mean of RGB, to the real image whose conditions were "
            "given.",
        ),
        "as in Unite and Conquer's released code",
    ),
    image_mean(
        "PSNR-Hidden", hidden_psnr, better="higher", range=AT_LEAST_0,
        description="Peak signal-to-noise ratio of the hidden pixels in dB, mean over images that have any.",
    ),
    image_mean(
        "MAE-Visible", visible_change, better="lower", range=AT_LEAST_0,
        description="Mean absolute change of the visible pixels, in gray levels of 255.",
    ),
)  # fmt: skip
