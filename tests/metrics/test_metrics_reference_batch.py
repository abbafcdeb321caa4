import pickle

import numpy as np
import pytest

from lightning_mmdiff.metrics.frechet import fit_gaussian, frechet_between
from lightning_mmdiff.metrics.reference_batch import ReferenceBatch


@pytest.fixture
def arrays():
    """The arrays of a published batch, in small."""
    rng = np.random.default_rng(0)
    pool, spatial = rng.standard_normal((50, 6)), rng.standard_normal((50, 4))
    return {
        "mu": pool.mean(axis=0), "sigma": np.cov(pool, rowvar=False), "mu_s": spatial.mean(axis=0),
        "sigma_s": np.cov(spatial, rowvar=False), "arr_0": rng.integers(0, 256, (5, 8, 9, 3), np.uint8),
        "features": pool, "spatial": spatial,
    }  # fmt: skip


@pytest.fixture
def batch(arrays, tmp_path):
    published = {name: arrays[name] for name in ("mu", "sigma", "mu_s", "sigma_s", "arr_0")}
    np.savez(tmp_path / "batch.npz", **published)
    return ReferenceBatch(tmp_path / "batch.npz")


@pytest.mark.parametrize(("output", "name"), [("pool", "features"), ("spatial", "spatial")])
def test_statistics_are_those_of_the_features(batch, arrays, output, name):
    other = fit_gaussian(np.random.default_rng(1).standard_normal((30, arrays[name].shape[1])) + 1)
    expected = frechet_between(other, fit_gaussian(arrays[name]))
    assert frechet_between(other, batch.gaussian(output)) == pytest.approx(expected, rel=1e-9)
    root = batch.gaussian(output).root
    np.testing.assert_allclose(root.T @ root, np.cov(arrays[name], rowvar=False), atol=1e-12)


def test_images_have_channels_first(batch, arrays):
    images = batch.images()
    assert images.shape == (5, 3, 8, 9)
    assert (images[2, 1].numpy() == arrays["arr_0"][2, :, :, 1]).all()


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).touch, (self.path,)


def test_nothing_is_unpickled(tmp_path):
    trap = tmp_path / "trap"
    assert pickle.dumps(Touch(trap))
    np.savez(tmp_path / "batch.npz", mu=np.array([Touch(trap)], dtype=object), sigma=np.eye(1))
    with pytest.raises(ValueError, match=r"batch\.npz: cannot read mu .*allow_pickle=False"):
        ReferenceBatch(tmp_path / "batch.npz").gaussian("pool")
    assert not trap.exists()


def test_what_is_wrong_with_a_file_is_said(tmp_path, arrays):
    path = tmp_path / "batch.npz"
    path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"batch\.npz: cannot read arr_0 .* expected ADM's reference batch"):
        ReferenceBatch(path).images()
    np.savez(path, arr_0=arrays["arr_0"].astype(np.float32), mu=arrays["mu"], sigma=arrays["sigma"][:3])
    with pytest.raises(ValueError, match=r"arr_0 is float32 \[5, 8, 9, 3\]; expected the uint8 images"):
        ReferenceBatch(path).images()
    with pytest.raises(ValueError, match=r"mu and sigma are \[6\] and \[3, 6\]"):
        ReferenceBatch(path).gaussian("pool")
    with pytest.raises(ValueError, match="cannot read mu_s"):
        ReferenceBatch(path).gaussian("spatial")
