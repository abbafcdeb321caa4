import os

import numpy as np
import pytest
import torch
from cleanfid.fid import get_files_features
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from PIL import Image
from skimage import data
from stand_in_evaluators import Failing, MeanColor, Parts
from stand_in_weights import Inception as StandInInception
from torch.nn.functional import affine_grid, grid_sample

from lightning_mmdiff.metrics import features
from lightning_mmdiff.metrics.features import (
    AdmInception,
    EffNetLite0,
    Inception,
    extract,
    extract_outputs,
    extract_shards,
    load_shard,
    shard_outputs,
)
from lightning_mmdiff.metrics.networks import legacy_bilinear, pil_bicubic
from lightning_mmdiff.metrics.reference_cache import cached_reference


@pytest.fixture(scope="module")
def effnet():
    return EffNetLite0()


@pytest.fixture
def shards(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for i, n in enumerate((5, 3, 4)):
        paths.append(tmp_path / "samples" / f"{i:05d}.npy")
        paths[-1].parent.mkdir(exist_ok=True)
        np.save(paths[-1], rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8))
    return paths


def photograph(name):
    image = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)[None]
    height, width = image.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top : top + side, left : left + side]


@pytest.mark.parametrize(("name", "classes"), [("chelsea", {281, 282, 285}), ("coffee", {967})])
def test_effnet_recognizes_photographs(effnet, name, classes):
    """Cats (tabby, tiger cat, Egyptian cat) and an espresso: proves weights, their order and the preprocessing."""
    with torch.inference_mode():
        probabilities = effnet.logits(photograph(name)).softmax(dim=1)[0]
    assert int(probabilities.argmax()) in classes
    assert float(probabilities[list(classes)].sum()) > 0.85


def test_effnet_features_are_pooled_finite_and_of_the_stated_size(effnet):
    images = torch.randint(0, 256, (3, 3, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        values, stages = effnet(images), effnet.stages(images)
        alone = effnet(images[1:2])
    assert values.shape == (3, effnet.dimension)
    assert torch.isfinite(values).all()
    assert (values >= 0).all()
    torch.testing.assert_close(alone, values[1:2], rtol=1e-3, atol=1e-4)  # an image's features are its own
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (16, 112, 112), (24, 56, 56), (40, 28, 28), (112, 14, 14), (320, 7, 7),
    ]  # fmt: skip


def test_a_judge_stays_in_evaluation_mode_and_takes_uint8_only(effnet):
    assert not effnet.train().training
    assert not any(p.requires_grad for p in effnet.parameters())
    with pytest.raises(TypeError, match="uint8"):
        effnet(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"\[1, 1, 8, 8\]"):
        effnet(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))


def test_inception_protocol_equals_clean_fid(tmp_path):
    """A scripted stand-in under the released name: resize, scale and flatten as clean-fid does, file to feature."""
    torch.manual_seed(0)
    path = tmp_path / "inception-2015-12-05.pt"
    torch.jit.script(StandInInception()).save(path)
    images = torch.randint(0, 256, (3, 3, 64, 48), dtype=torch.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{i}.png")
    theirs = get_files_features(
        [str(tmp_path / f"{i}.png") for i in range(3)],
        InceptionV3W(str(tmp_path), download=False),
        num_workers=0, device=torch.device("cpu"), mode="clean", verbose=False,
    )  # fmt: skip
    ours = extract([images[:2], images[2:]], Inception(path))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert ours.shape == (3, Inception.dimension)


def test_the_resize_of_a_gpu_is_that_of_pil():
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    resize = build_resizer("clean")
    expected = np.stack([resize(image) for image in images.permute(0, 2, 3, 1).numpy()]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(pil_bicubic(images, 299), expected, atol=2e-3)  # of 255


@pytest.fixture
def stand_in(tmp_path):
    """A random network in the format of the released file, and that file."""
    torch.manual_seed(0)
    network = StandInInception().eval()
    torch.jit.script(network).save(tmp_path / "inception-2015-12-05.pt")
    return network, tmp_path / "inception-2015-12-05.pt"


def test_inception_gives_pool_spatial_and_unbiased_logits_in_one_pass(stand_in):
    network, path = stand_in
    evaluator = AdmInception(path)
    images = torch.randint(0, 256, (2, 3, 40, 50), dtype=torch.uint8)
    with torch.inference_mode():
        found = evaluator.outputs(images)
        x = evaluator.preprocess(images)
        mixed_6 = network.layers[:2](x)
        pool = network.layers(x).flatten(1)
        logits = network.output(pool) - network.output.bias
        torch.testing.assert_close(evaluator(images), found["pool"])
    assert sorted(found) == ["logits", "pool", "spatial"]
    torch.testing.assert_close(found["pool"], pool)
    torch.testing.assert_close(found["logits"], logits, rtol=1e-3, atol=1e-4)
    assert found["spatial"].shape == (2, 2023)
    for h, w, c in ((0, 0, 0), (3, 11, 6), (16, 16, 2)):  # channels last, as TensorFlow flattens
        torch.testing.assert_close(found["spatial"][:, (h * 17 + w) * 7 + c], mixed_6[:, c, h, w])


def test_adm_resize_is_that_of_tensorflow_1():
    """Against the formula pixel by pixel, and against a sampling grid shifted by half the difference of two pixels."""
    images = torch.randint(0, 256, (2, 3, 13, 20), generator=torch.Generator().manual_seed(0)).double()
    for size in (7, 29):
        ours = legacy_bilinear(images, size)
        for i, j in ((0, 0), (3, 5), (size - 1, size - 1), (size // 2, 1)):
            y, x = i * 13 / size, j * 20 / size
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, 12), min(x0 + 1, 19)
            top = images[:, :, y0, x0] * (1 - x + x0) + images[:, :, y0, x1] * (x - x0)
            bottom = images[:, :, y1, x0] * (1 - x + x0) + images[:, :, y1, x1] * (x - x0)
            torch.testing.assert_close(ours[:, :, i, j], top * (1 - y + y0) + bottom * (y - y0))
        shift = [[1, 0, 1 / 20 - 1 / size], [0, 1, 1 / 13 - 1 / size]]
        grid = affine_grid(torch.tensor([shift, shift], dtype=torch.float64), [2, 3, size, size], align_corners=False)
        expected = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
        torch.testing.assert_close(ours, expected)


def test_the_two_protocols_of_inception_have_two_names_and_two_resizes(stand_in):
    images = torch.randint(0, 256, (2, 3, 600, 400), dtype=torch.uint8)  # shrinking shows it
    clean, adm = Inception(stand_in[1]), AdmInception(stand_in[1])
    assert clean.name != adm.name
    assert adm.preprocess(images).std() > 1.2 * clean.preprocess(images).std()  # not antialiased
    smooth = torch.full((1, 3, 64, 64), 77, dtype=torch.uint8)
    torch.testing.assert_close(adm.preprocess(smooth), clean.preprocess(smooth))


def test_effnet_outputs_are_its_features_logits_and_the_14_pixel_map(effnet):
    images = torch.cat([photograph("chelsea"), photograph("chelsea").flip(3)])
    with torch.inference_mode():
        found = effnet.outputs(images)
        assert (found["pool"] == effnet(images)).all()
        torch.testing.assert_close(found["logits"], effnet.logits(images))
        stage = effnet.stages(images)[3][:, :7]
    assert found["spatial"].shape == (2, 7 * 14 * 14)
    assert (found["spatial"].view(2, 14, 14, 7) == stage.permute(0, 2, 3, 1)).all()


def test_spatial_features_see_where_things_are_and_pooled_ones_less(effnet):
    """Mirror a cat: the pooled features stay close, the spatial ones do not."""
    images = torch.cat([photograph("chelsea"), photograph("chelsea").flip(3)])
    with torch.inference_mode():
        found = effnet.outputs(images)
    cosine = {k: float(torch.nn.functional.cosine_similarity(v[:1], v[1:])) for k, v in found.items()}
    assert cosine["pool"] > cosine["spatial"] + 0.2


def test_inception_file_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(FileNotFoundError, match="inception-2015-12-05.pt"):
        Inception()
    path = tmp_path / "inception-2015-12-05.pt"
    path.write_bytes(b"half a download")
    with pytest.raises(ValueError, match="not a readable TorchScript"):
        Inception(path)


def test_extract_streams_and_refuses_nothing():
    batches = (torch.full((2, 3, 4, 4), value, dtype=torch.uint8) for value in (1, 7))
    values = extract(batches, MeanColor())
    assert values.dtype == np.float32
    assert values[:, 0].tolist() == [1, 1, 7, 7]
    with pytest.raises(ValueError, match="no images"):
        extract([], MeanColor())


@pytest.mark.slow
def test_shards_give_the_same_features_for_one_and_two_processes(shards, tmp_path):
    one = extract_shards(shards, MeanColor, tmp_path / "one")
    two = extract_shards(shards, MeanColor, tmp_path / "two", num_processes=2)
    expected = np.concatenate([np.load(shard).mean(axis=(2, 3)) for shard in shards])
    np.testing.assert_allclose(one, expected, rtol=1e-6)
    np.testing.assert_allclose(two, one, rtol=1e-6)
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(p.name for p in (tmp_path / "two").iterdir())


def test_all_outputs_come_from_one_pass_and_are_stored_apart(shards, tmp_path, monkeypatch):
    passes = []
    real = Parts.outputs
    monkeypatch.setattr(Parts, "outputs", lambda self, images: passes.append(len(images)) or real(self, images))
    images = np.concatenate([np.load(shard) for shard in shards])
    pool = extract_shards(shards[:1], Parts, tmp_path / "cache")
    assert passes == [5]
    found = shard_outputs(shards, Parts, ("pool", "spatial"), tmp_path / "cache")
    assert passes == [5, 5, 3, 4]  # the first shard again, as its spatial features were not there
    assert (found["pool"][:5] == pool).all()
    assert (found["spatial"] == images.reshape(12, -1)).all()
    again = shard_outputs(shards, Parts, ("spatial",), tmp_path / "cache")
    assert passes == [5, 5, 3, 4]
    assert list(again) == ["spatial"]
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 6
    streamed = extract_outputs([torch.from_numpy(images)], Parts(), ("spatial", "pool"))
    assert (streamed["spatial"] == found["spatial"]).all()
    assert (streamed["pool"] == found["pool"]).all()


def test_an_output_that_a_network_lacks_is_named(shards, tmp_path):
    with pytest.raises(ValueError, match=r"MeanColor has no output \['spatial'\], only \['pool'\]"):
        shard_outputs(shards, MeanColor, ("pool", "spatial"), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))
    with pytest.raises(ValueError, match="no images"):
        extract_outputs([], Parts(), ("pool",))


@pytest.mark.slow
def test_a_failure_in_a_process_reaches_the_caller(shards, tmp_path):
    with pytest.raises(RuntimeError, match="out of memory"):
        extract_shards(shards, Failing, tmp_path / "cache", num_processes=2)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_only_missing_changed_and_damaged_shards_are_computed(shards, tmp_path, monkeypatch):
    computed = []
    real = features.load_shard
    monkeypatch.setattr(features, "load_shard", lambda path: computed.append(path.name) or real(path))
    cache = tmp_path / "cache"
    first = extract_shards(shards[:2], MeanColor, cache)
    assert computed == ["00000.npy", "00001.npy"]
    extract_shards(shards, MeanColor, cache)  # one more
    assert computed[2:] == ["00002.npy"]
    np.save(shards[1], np.zeros((3, 3, 8, 8), np.uint8))  # sampled anew under the same name
    again = extract_shards(shards, MeanColor, cache)
    assert computed[3:] == ["00001.npy"]
    assert (again[5:8] == 0).all()
    assert (again[:5] == first[:5]).all()
    damaged = next(cache.glob("*00002*"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.warns(UserWarning, match="damaged"):
        extract_shards(shards, MeanColor, cache)
    assert computed[4:] == ["00002.npy"]


def test_two_judges_never_share_a_cache_file(shards, tmp_path):
    extract_shards(shards, MeanColor, tmp_path / "cache")
    with pytest.raises(RuntimeError, match="out of memory"):
        extract_shards(shards, Failing, tmp_path / "cache")


def test_bad_shards_are_named(shards, tmp_path):
    np.save(shards[0], np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"00000.npy: expected uint8 images \[n, 3, H, W\], found uint8 \[2, 8, 8, 3\]"
    ):
        load_shard(shards[0])
    shards[1].write_bytes(b"")
    with (
        pytest.raises(ValueError, match="00001.npy: not a readable"),
        pytest.warns(UserWarning, match="00001.npy is damaged"),
    ):
        extract_shards(shards[1:], MeanColor, tmp_path / "cache")
    with pytest.raises(ValueError, match="no sample shards"):
        extract_shards([], MeanColor, tmp_path)


def test_reference_is_computed_once_and_again_when_damaged_or_of_other_data(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"features": np.arange(6.0).reshape(2, 3)}

    path = tmp_path / "deep" / "reference.npz"
    for _ in range(2):
        assert cached_reference(path, "faces test 64 EffNetLite0", compute)["features"].tolist() == [
            [0, 1, 2],
            [3, 4, 5],
        ]
    assert len(calls) == 1
    with pytest.warns(UserWarning, match="was made from 'faces test 64 EffNetLite0'"):
        cached_reference(path, "faces test 128 EffNetLite0", compute)
    assert len(calls) == 2
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match="damaged"):
        cached_reference(path, "faces test 128 EffNetLite0", compute)
    assert len(calls) == 3
    assert sorted(os.listdir(path.parent)) == ["reference.npz"]  # no temporary files left
