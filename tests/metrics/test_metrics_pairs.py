"""LPIPS, PD-EffNetLite0 and SSIM: scores of image i against reference i."""

import lpips as released
import numpy as np
import pytest
import torch
import torchvision
from skimage import data
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.functional.image.lpips import _LPIPS

from lightning_mmdiff.images import to_float
from lightning_mmdiff.metrics.lpips import LPIPS, PerceptualDistance
from lightning_mmdiff.metrics.ssim import ssim
from lightning_mmdiff.metrics.stages import stage_distance


def noise(seed, n=3, size=48):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def cat():
    return torch.from_numpy(data.chelsea()[:256, 100:356].copy()).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    """A random AlexNet in the format of the released file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save(torchvision.models.alexnet().state_dict(), path)
    return path


def blurred(image, times):
    for _ in range(times):
        image = torch.nn.functional.avg_pool2d(image.float(), 5, stride=1, padding=2, count_include_pad=False)
    return image.round().to(torch.uint8)


def test_lpips_equals_the_released_package_and_torchmetrics_on_one_trunk(trunk):
    ours = LPIPS(trunk)
    x, y = noise(0, n=11), noise(1, n=11)  # more than one batch
    values = ours(x, y)
    theirs = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
    theirs.net.load_state_dict(ours.network.net.state_dict())
    with torch.no_grad():
        expected = theirs(to_float(x), to_float(y)).flatten().numpy()
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    alexnet = torchvision.models.alexnet()
    alexnet.load_state_dict(torch.load(trunk, weights_only=True))
    network = released.LPIPS(net="alex", pnet_rand=True, verbose=False)
    for i, layer in enumerate(alexnet.features):  # the trunk's layers, put in by hand
        for part in (
            network.net.slice1,
            network.net.slice2,
            network.net.slice3,
            network.net.slice4,
            network.net.slice5,
        ):
            if hasattr(part, str(i)) and hasattr(layer, "weight"):
                getattr(part, str(i)).load_state_dict(layer.state_dict())
    with torch.no_grad():
        np.testing.assert_allclose(values, network(to_float(x), to_float(y)).flatten().numpy(), rtol=1e-4)
    assert values.shape == (11,)


def test_lpips_is_zero_on_identical_images_and_symmetric(trunk):
    ours = LPIPS(trunk)
    x, y = noise(0), noise(1)
    assert ours(x, x).tolist() == [0, 0, 0]
    np.testing.assert_allclose(ours(x, y), ours(y, x), rtol=1e-5)


def test_lpips_errors(trunk, tmp_path, monkeypatch):
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(FileNotFoundError, match="alexnet-owt-7be5be79.pth"):
        LPIPS()
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="not torchvision's AlexNet: it has no features.0.weight"):
        LPIPS(tmp_path / "other.pth")
    with pytest.raises(ValueError, match="at least 32 x 32"):
        LPIPS(trunk)(noise(0, size=24), noise(1, size=24))


def test_perceptual_distance_orders_damage_and_is_zero_on_identity(cat):
    distance = PerceptualDistance()
    images = torch.cat([cat, blurred(cat, 1), blurred(cat, 4), noise(0, n=1, size=256)])
    values = distance(images, cat.expand(4, -1, -1, -1))
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert values[0] < values[1] < values[2] < values[3] < 4
    np.testing.assert_allclose(distance(cat, images[2:3]), values[2:3], rtol=1e-3)


def test_stage_distance_has_its_closed_form():
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 5, 5)
    y = torch.tensor([4.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 5, 5)
    assert stage_distance(x, 9 * x).item() == pytest.approx(0, abs=1e-12)  # scale of the features does not matter
    assert stage_distance(x, y).item() == pytest.approx(2 - 2 * 24 / 25, rel=1e-5)
    assert stage_distance(x, -x).item() == pytest.approx(4, rel=1e-5)  # the largest possible


def test_ssim_of_identical_images_is_1(cat):
    assert ssim(cat, cat) == pytest.approx(1, abs=1e-12)


def test_ssim_of_constant_images_is_the_luminance_term():
    x, y = torch.full((1, 3, 16, 16), 51, dtype=torch.uint8), torch.full((1, 3, 16, 16), 204, dtype=torch.uint8)
    assert ssim(x, y) == pytest.approx((2 * 51 * 204 + 2.55**2) / (51**2 + 204**2 + 2.55**2), rel=1e-9)


def test_ssim_equals_scikit_image(cat):
    images = torch.cat([blurred(cat, 2), noise(0, n=1, size=256), (cat // 2)])
    references = cat.expand(3, -1, -1, -1)
    expected = [
        structural_similarity(
            image.permute(1, 2, 0).numpy(), reference.permute(1, 2, 0).numpy(), data_range=255, channel_axis=-1,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # crops the same 5 border pixels
        for image, reference in zip(images, references)
    ]  # fmt: skip
    np.testing.assert_allclose(ssim(images, references), expected, rtol=1e-7)


def test_ssim_equals_torchmetrics_without_the_border():
    x, y = torch.cat([noise(0, size=40), noise(2, size=40) // 8]), noise(1, n=6, size=40)
    _, full = structural_similarity_index_measure(
        x.double() / 255, y.double() / 255, sigma=1.5, data_range=1.0, return_full_image=True
    )
    np.testing.assert_allclose(ssim(x, y), full[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)).numpy(), rtol=1e-9)


def test_pairs_are_checked():
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, got 10 x 10"):
        ssim(noise(0, size=10), noise(1, size=10))
    assert ssim(noise(0, size=11), noise(1, size=11)).shape == (3,)
    with pytest.raises(ValueError, match="Image i is compared with reference i"):
        ssim(noise(0, n=2), noise(1, n=3))
    with pytest.raises(TypeError, match="float32"):
        ssim(noise(0).float(), noise(1).float())
