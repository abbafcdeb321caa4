"""The perceptual distance of samples, computed in the pass of their other features; references are kept."""

import numpy as np
import pytest
import torch

from lightning_mmdiff.metrics.features import shard_outputs
from lightning_mmdiff.metrics.lpips import PerceptualDistance
from lightning_mmdiff.metrics.networks import EffNetLite0, FeatureNetwork
from lightning_mmdiff.metrics.stages import KeptStages, unit


def pictures(seed, n=3):
    return torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_one_pass_gives_what_two_give_bit_for_bit():
    network, images, references = EffNetLite0(), pictures(0), pictures(1)
    with torch.inference_mode():
        found = network.outputs(images, [unit(stage) for stage in network.stages(references)])
        apart = network.outputs(images)
    assert {"distance"} == found.keys() - apart.keys()
    assert all(torch.equal(found[name], apart[name]) for name in apart)
    np.testing.assert_array_equal(found["distance"].double().numpy(), PerceptualDistance()(images, references))


def test_references_are_computed_once_and_the_oldest_are_dropped():
    calls = []

    def stages(images):
        calls.append(images)
        return [images.float()]

    kept = KeptStages(limit=3 * pictures(0).numel() * 4)
    first = kept(stages, pictures(0))
    assert kept(stages, pictures(0).clone()) is first
    assert len(calls) == 1
    for seed in (1, 2, 0, 3):  # the fourth is one too many: 1 was used longest ago
        kept(stages, pictures(seed))
    assert (len(calls), kept.bytes) == (4, kept.limit)
    kept(stages, pictures(0))
    assert len(calls) == 4
    kept(stages, pictures(1))
    assert len(calls) == 5


class Mean(FeatureNetwork):
    name, dimension = "Mean", 3
    passes = 0

    def outputs(self, images, references=None):
        type(self).passes += 1
        pool = images.float().mean(dim=(2, 3))
        return {"pool": pool, **({} if references is None else {"distance": (pool - references[0]).abs().sum(dim=1)})}

    def stages(self, images):
        return [images.float()]


def test_distances_of_shards_belong_to_their_references(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_mmdiff.metrics.stages.unit", lambda features: features.mean(dim=(2, 3)))
    images, shards = pictures(0, n=5), [tmp_path / "0.npy", tmp_path / "1.npy"]
    for path, part in zip(shards, images.split(3)):
        np.save(path, part.numpy())
    for seed, passes in ((1, 2), (1, 2), (2, 4)):  # the second call finds files, the third has other references
        references = pictures(seed, n=5)
        found = shard_outputs(shards, Mean, ("pool", "distance"), tmp_path / "f", references=references.split(3))
        expected = (images.float().mean(dim=(2, 3)) - references.float().mean(dim=(2, 3))).abs().sum(dim=1)
        np.testing.assert_allclose(found["distance"], expected, rtol=1e-5)
        assert Mean.passes == passes


def test_a_network_without_stages_says_so():
    class Plain(FeatureNetwork):
        name, dimension = "Plain", 1

    with pytest.raises(ValueError, match="Plain has no stages"):
        Plain().stages(pictures(0))
