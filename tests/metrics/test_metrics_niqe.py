"""NIQE: closed forms, an independent implementation (pyiqa 0.1.14.1, recorded in golden/niqe.npz), images it cannot measure."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import gamma

from lightning_mmdiff import weights
from lightning_mmdiff.metrics import niqe

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "niqe.npz")


def texture(seed: int, height: int, width: int) -> torch.Tensor:
    """A cloudy picture with grain, uint8 [1, 3, H, W]; the same as was given to the independent implementation."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(height, width, 3)).cumsum(0).cumsum(1)
    x = (x - x.min()) / (x.max() - x.min()) * 235 + rng.normal(size=(height, width, 3)) * 6 + 10
    return torch.from_numpy(x.clip(0, 255).round().astype(np.uint8).transpose(2, 0, 1).copy())[None]


def test_features_equal_an_independent_implementation() -> None:
    found = niqe.block_features(niqe.luma(texture(0, 200, 300))[0])
    expected = GOLDEN["features"].reshape(3, 2, 36).swapaxes(0, 1).reshape(6, 36)  # theirs go down the columns
    np.testing.assert_allclose(found[:, :18], expected[:, :18], atol=2e-3)
    np.testing.assert_allclose(found[:, 18:], expected[:, 18:], atol=0.05)  # they resize the border otherwise


@pytest.mark.parametrize("alpha", [0.7, 1.0, 2.0, 4.0])
def test_a_generalized_gaussian_is_recovered(alpha: float) -> None:
    rng = np.random.default_rng(0)
    magnitude = rng.gamma(1 / alpha, size=200_000) ** (1 / alpha)  # |x| of density exp(-|x|^alpha)
    values = np.where(rng.random(200_000) < 0.5, -2.0, 2.0) * magnitude
    found = niqe._asymmetric(values)
    np.testing.assert_allclose(found, (alpha, 2.0, 2.0), rtol=0.03)


def test_left_and_right_scales_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    size = np.abs(rng.normal(size=400_000))  # alpha = 2: scale is the deviation times sqrt(2)
    values = np.where(np.arange(400_000) % 3 == 0, -size, 2 * size)
    _, left, right = niqe._asymmetric(values)
    root = np.sqrt(gamma(0.5) / gamma(1.5))
    assert right / left == pytest.approx(2, rel=0.01)
    assert left == pytest.approx(root, rel=0.1)


def test_distance_is_that_of_equation_10() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(200, 36))
    own = niqe.fit(features)
    assert niqe.distance(features, own) == pytest.approx(0, abs=1e-9)
    moved = niqe.Statistics(mean=own.mean + 3 * np.eye(36)[0], covariance=own.covariance)
    assert niqe.distance(features, moved) == pytest.approx(3 * np.sqrt(np.linalg.inv(own.covariance)[0, 0]))


def test_blur_and_noise_are_worse_than_what_was_fitted() -> None:
    pictures = torch.cat([texture(seed, 32, 32) for seed in range(60)])
    pristine = niqe.fit(np.concatenate([niqe.block_features(image, 16) for image in niqe.luma(pictures[:50])]))
    clean = pictures[50:]
    noisy = (clean.float() + 40 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 255)
    blurred = torch.nn.functional.avg_pool2d(clean.float(), 3, 1, 1)
    mean = niqe.niqe(clean, pristine, 16).mean()
    assert niqe.niqe(noisy.to(torch.uint8), pristine, 16).mean() > 1.2 * mean
    assert niqe.niqe(blurred.to(torch.uint8), pristine, 16).mean() > 1.2 * mean


def test_images_without_statistics_are_named() -> None:
    own = niqe.Statistics(mean=np.zeros(36), covariance=np.eye(36))
    with pytest.raises(ValueError, match=r"at least 96x96 pixels, got \[64, 64\]"):
        niqe.niqe(texture(0, 64, 64), own)
    with pytest.raises(ValueError, match="Image 1: NIQE needs two blocks that are not constant, got 0 of 4"):
        niqe.niqe(torch.cat([texture(0, 192, 192), torch.full((1, 3, 192, 192), 128, dtype=torch.uint8)]), own)


def test_a_file_that_is_no_pristine_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", mean=np.zeros(36))
    with pytest.raises(ValueError, match=r"other.npz: has \['mean'\], expected mu_pris_param"):
        niqe.published(tmp_path / "other.npz")


@pytest.mark.skipif(
    not os.environ.get("MMDIFF_DATA") or weights.find("niqe") is None,
    reason="MMDIFF_DATA names no photographs, or niqe_pris_params.npz is missing",
)
def test_three_photographs_score_as_by_an_independent_implementation() -> None:
    root, pristine = Path(os.environ["MMDIFF_DATA"]), niqe.published(weights.require("niqe"))
    for name, expected in zip(GOLDEN["photographs"].tolist(), GOLDEN["values"].tolist()):
        image = torch.from_numpy(np.asarray(Image.open(root / name).convert("RGB")).transpose(2, 0, 1).copy())
        assert image.shape == (3, 512, 512)
        assert niqe.niqe(image[None], pristine)[0] == pytest.approx(expected, abs=0.1)
