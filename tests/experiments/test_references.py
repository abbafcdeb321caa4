"""What samples are compared with, and what that says about the paper's numbers: our images, ADM's batch, training images."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.config import DataConfig
from experiments.protocols.catalogue import by_name
from experiments.protocols.samples import Features, Samples
from experiments.protocols.score import Evaluators, score
from experiments.runs import SampleRun
from lightning_mmdiff import weights
from lightning_mmdiff.methods.single import RealImages
from lightning_mmdiff.metrics.coverage import coverage_result
from lightning_mmdiff.metrics.frechet import fit_gaussian, frechet_between
from lightning_mmdiff.metrics.networks import AdmInception, FeatureNetwork
from lightning_mmdiff.metrics.precision_recall import membership
from lightning_mmdiff.metrics.results import save_results
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports.runs import load_run
from reports.schema import Metric
from reports.verdicts import known_better, verdict_of

SIDE, COUNT = 64, 12
FEATURES = {"pool": 5, "spatial": 4}


class StandIn(FeatureNetwork):
    """What takes the place of ADM's Inception: means over the image, through a fixed matrix."""

    name = "AdmInception"
    dimension = 5

    def outputs(self, images):
        generator = torch.Generator().manual_seed(0)
        means = images.float().mean(dim=(2, 3))
        return {name: means @ torch.randn(3, size, generator=generator) for name, size in FEATURES.items()}


class Split:
    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        brightness = torch.randint(40, 200, (count, 3, 1, 1), generator=generator)
        noise = torch.randint(0, 50, (count, 3, SIDE, SIDE), generator=generator)
        self.images = (brightness + noise).byte()

    def __len__(self):
        return len(self.images)

    def batch(self, indices):
        return {"image": self.images[list(indices)]}


@pytest.fixture
def samples(tmp_path, monkeypatch):
    """Samples of ImageNet at 64 px, with a network that needs no file; no weights anywhere."""
    monkeypatch.setenv(weights.ENVIRONMENT_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(AdmInception, "__init__", FeatureNetwork.__init__)
    monkeypatch.setattr(AdmInception, "outputs", StandIn.outputs)
    data = SimpleNamespace(
        train=Split(30, 1), test=Split(20, 2), fingerprint=lambda: "any", setup=lambda: None, folder=tmp_path
    )
    run = SampleRun(
        name="run", method=RealImages(), data=DataConfig(dataset="imagenet", image_size=SIDE), num_images=COUNT
    )
    folder = tmp_path / "runs" / "run"
    RunFolder(folder).samples.mkdir(parents=True)
    np.save(RunFolder(folder).samples / "00000.npy", Split(COUNT, 3).images.numpy())
    return Samples(folder, run, {}, data)  # type: ignore[arg-type]


@pytest.fixture
def published(tmp_path):
    """ADM's batch, in small: statistics of 400 images, 15 of which are in it."""
    whole = Split(400, 4).images
    found = {name: value.double().numpy() for name, value in StandIn().outputs(whole).items()}
    path = tmp_path / "weights" / "VIRTUAL_imagenet64_labeled.npz"
    path.parent.mkdir()
    np.savez(
        path, mu=found["pool"].mean(axis=0), sigma=np.cov(found["pool"], rowvar=False), mu_s=found["spatial"].mean(axis=0),
        sigma_s=np.cov(found["spatial"], rowvar=False), arr_0=whole[:15].permute(0, 2, 3, 1).numpy(),
    )  # fmt: skip
    return SimpleNamespace(path=path, **found)


def features_of(images, output="pool"):
    return StandIn().outputs(images)[output].numpy()


def test_without_adms_file_our_test_images_are_the_reference_and_not_comparable(samples):
    ours = frechet_between(
        fit_gaussian(features_of(samples.stored)), fit_gaussian(features_of(samples.data.test.images))
    )
    result = by_name("FID-ADM").measure(samples)
    assert result.value == pytest.approx(ours, rel=1e-4)
    assert result.extra == {
        "reference": "20 real test images of imagenet",
        "comparable": False,
        "basis": "reference: our 20 real test images of imagenet, not ADM's training set",
    }
    assert by_name("Recall").measure(samples).extra == result.extra


@pytest.mark.parametrize(("name", "output"), [("FID-ADM", "pool"), ("sFID-ADM", "spatial")])
def test_distances_are_to_adms_statistics_where_its_file_is(samples, published, name, output):
    true = fit_gaussian(getattr(published, output))
    result = by_name(name).measure(samples)
    assert result.value == pytest.approx(
        frechet_between(fit_gaussian(features_of(samples.stored, output)), true), rel=1e-4
    )
    assert result.extra["comparable"] is True
    assert result.extra["reference"] == f"ADM's reference batch {published.path.name}"


def verdict(samples, name):
    """What a report says of a measured number beside one that the paper prints 1 % away."""
    protocol = by_name(name)
    result = protocol.measure(samples)
    save_results(samples.folder, [result])
    scores = [load_run(samples.folder, seed=0, name="run").scores[name]]
    metric = Metric(
        column="FID", protocol=name, better=protocol.better, description="", range=protocol.range, source="a paper",
        comparable=protocol.comparable, basis=protocol.basis,
    )  # fmt: skip
    return verdict_of(known_better(metric, scores), result.value, None, result.value / 1.01, "paper")


@pytest.mark.parametrize("name", ["FID-ADM", "Precision"])
def test_a_report_does_not_compare_with_the_paper_without_adms_file(samples, name):
    reason = "reference: our 20 real test images of imagenet, not ADM's training set"
    assert verdict(samples, name) == ("not comparable", reason)


@pytest.mark.usefixtures("published")
def test_a_report_compares_with_the_paper_where_adms_file_is(samples):
    found, reason = verdict(samples, "FID-ADM")
    assert found == "agrees"
    assert reason.endswith("; reference: ADM's reference batch VIRTUAL_imagenet64_labeled.npz")


def test_precision_recall_and_coverage_are_against_adms_images(samples, published):
    x, y = features_of(samples.stored), published.pool[:15].astype(np.float32)
    found = membership(x, y)
    assert by_name("Precision").measure(samples).value == pytest.approx(found.precise.mean())
    assert by_name("Recall").measure(samples).value == pytest.approx(found.recalled.mean())
    assert by_name("Coverage").measure(samples).value == pytest.approx(coverage_result("C", x, y, num=1).value)
    assert by_name("Recall").measure(samples).extra["comparable"] is True


def test_a_file_that_is_not_adms_is_refused(samples, published):
    published.path.write_text("<html>")
    with pytest.raises(ValueError, match="cannot read mu"):
        by_name("FID-ADM").measure(samples)


def test_the_ratio_is_to_as_many_training_images_which_are_the_row_of_real_images(samples):
    real = fit_gaussian(features_of(samples.data.test.images))
    generated, training = (
        frechet_between(fit_gaussian(features_of(images)), real)
        for images in (samples.stored, samples.data.train.images[:COUNT])
    )
    assert by_name("FID-ADM-Ratio").measure(samples).value == pytest.approx(generated / training, rel=1e-4)
    np.save(RunFolder(samples.folder).samples / "00000.npy", samples.data.train.images[:COUNT].numpy())
    ceiling = Samples(samples.folder, samples.run, {}, samples.data)
    assert by_name("FID-ADM-Ratio").measure(ceiling).value == pytest.approx(1, rel=1e-6)


def test_the_ratio_of_more_samples_than_training_images_is_of_equally_many(samples):
    samples.data.train = Split(8, 1)
    real = fit_gaussian(features_of(samples.data.test.images))
    generated, training = (
        frechet_between(fit_gaussian(features_of(images)), real)
        for images in (samples.stored[:8], samples.data.train.images)
    )
    result = by_name("FID-ADM-Ratio").measure(samples)
    assert result.value == pytest.approx(generated / training, rel=1e-4)
    assert result.n == 8


def test_copies_are_found_among_the_training_images(samples, monkeypatch):
    """Half of the samples are training images; what depends on the data alone is computed once for all runs."""
    samples.data.test = Split(150, 2)
    copied = torch.cat([samples.data.train.images[:6], Split(6, 5).images])
    np.save(RunFolder(samples.folder).samples / "00000.npy", copied.numpy())
    run = Samples(samples.folder, samples.run, {}, samples.data)
    protocol = by_name("Copies-EffNetLite0")
    result = protocol.measure(run)
    assert result.value == 0.5
    assert result.extra == {"reference": "30 training images of imagenet, 30 of them in features"}
    read = []
    monkeypatch.setattr(Split, "batch", lambda self, indices: read.append(indices))
    assert protocol.measure(run).value == 0.5
    assert read == []


def test_results_on_disk_say_what_they_were_measured_against(samples):
    score(samples.folder, samples.run, ("FID-ADM", "Precision"), Evaluators({}, samples.folder), samples.data)
    stored = json.loads(RunFolder(samples.folder).metrics.read_text())
    assert {entry["comparable"] for entry in stored.values()} == {False}


def test_labels_of_features_tell_outputs_apart():
    assert Features(network=AdmInception, output="pool").label == "AdmInception"
    assert Features(network=AdmInception, output="spatial").label == "AdmInception.spatial"
