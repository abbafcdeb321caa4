import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn.functional import interpolate

from datamodules.mini import people
from datamodules.mini.faces import render
from lightning_mmdiff.metrics.bootstrap import resamples, wilson_interval
from lightning_mmdiff.metrics.memorization import Nearness, copies_result, distance_ratios, thumbnails


@pytest.fixture(scope="module")
def faces():
    """1,000 training images, 200 held out, 200 more; uint8 [N, 3, 16, 16]."""
    pictures, _ = render(people.invent(0, "A", np.arange(1400)), 16)
    return torch.from_numpy(pictures).split([1000, 200, 200])


@pytest.mark.parametrize("k", [2, 50])
def test_ratios_equal_scikit_learn(k):
    rng = np.random.default_rng(0)
    x, training = rng.standard_normal((40, 9)) + 3, rng.standard_normal((300, 9)) + 3
    nearest = NearestNeighbors(n_neighbors=k).fit(training).kneighbors(x)[0]
    np.testing.assert_allclose(distance_ratios(x, training, k=k), nearest[:, 0] / nearest.mean(axis=1), rtol=1e-4)


def test_fewer_training_images_than_neighbors_all_count():
    training = np.array([[0.0], [3.0], [5.0]])
    np.testing.assert_allclose(distance_ratios(np.array([[1.0], [0.0]]), training), [1 / (7 / 3), 0], atol=1e-6)
    with pytest.raises(ValueError, match="1 training images have no neighbors"):
        distance_ratios(training, training[:1])
    with pytest.raises(ValueError, match="finite"):
        distance_ratios(np.array([[np.nan]]), training)


def test_thumbnails_average_pixels_and_never_enlarge():
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    small = thumbnails(images).reshape(2, 3, 32, 32)
    assert np.abs(small - images.double().reshape(2, 3, 32, 2, 32, 2).mean(dim=(3, 5)).numpy()).max() <= 0.5
    assert (thumbnails(images[..., :8, :8]) == images[..., :8, :8].flatten(1).numpy()).all()


def in_pixels(samples, faces):
    training, held_out, _ = map(thumbnails, faces)
    return Nearness(
        samples=distance_ratios(thumbnails(samples), training), held_out=distance_ratios(held_out, training)
    )


def test_copies_are_found_with_noise_and_new_images_are_not_copies(faces):
    noise = torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    copied = (faces[0][:200] + 5 * noise).round().clamp(0, 255).byte()
    assert copies_result("C", [in_pixels(copied, faces)]).value > 0.95
    new = copies_result("C", [in_pixels(faces[2], faces)])
    assert new.value <= 0.03
    low, high = new.to_json()["interval"]
    assert low <= 0.005 <= high
    tenth = torch.cat([faces[2][:180], copied[:20]])
    assert copies_result("C", [in_pixels(tenth, faces)]).value == pytest.approx(0.1, abs=0.03)


def test_a_blurred_or_average_image_is_no_copy(faces):
    """Its nearest training image is near by any measure, and so are the others."""
    blurred = interpolate(interpolate(faces[2].float(), 4, mode="area"), 16, mode="bilinear").byte()
    means = torch.stack([faces[0][i : i + 20].float().mean(dim=0) for i in range(0, 1000, 20)]).byte()
    for images in (blurred, means, torch.full((8, 3, 16, 16), 128, dtype=torch.uint8)):
        assert copies_result("C", [in_pixels(images, faces)]).value <= 0.03


def test_a_copy_in_one_space_is_a_copy():
    held_out = np.linspace(0.5, 0.9, 201)  # the bound is .502
    first = Nearness(samples=np.array([0.1, 0.7, 0.7, 0.501]), held_out=held_out)
    second = Nearness(samples=np.array([0.7, 0.7, 0.2, 0.7]), held_out=held_out)
    assert copies_result("C", [first]).value == 0.5
    assert copies_result("C", [first, second]).value == 0.75


def test_the_interval_is_a_shares_and_replicates_resample_samples_and_held_out_images():
    rng = np.random.default_rng(0)
    space = Nearness(samples=rng.random(30), held_out=rng.random(50))
    found = copies_result("C", [space], num=20, reference="9 images")
    assert found.to_json()["interval"] == list(wilson_interval(found.value, 30))
    expected = [
        (space.samples[i] < np.quantile(space.held_out[j], 0.005)).mean()
        for i, j in zip(resamples(30, 20), resamples(50, 20))
    ]
    np.testing.assert_allclose(found.replicates, expected)
    assert (found.n, found.better, found.extra) == (30, "lower", {"reference": "9 images"})
