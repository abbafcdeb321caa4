"""The catalogue of protocols: every column finds its own, and each measures, or says which of its files is missing."""

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import tiny_config

from datamodules.config import DataConfig
from experiments import INDEX
from experiments.core import build
from experiments.protocols import embeddings
from experiments.protocols.catalogue import PROTOCOLS, by_name, column
from experiments.protocols.protocol import Protocol
from experiments.protocols.samples import Samples
from experiments.protocols.score import score
from experiments.recipes.evaluators import attribute_evaluator, face_parser, object_captions
from experiments.recipes.mt_diffusion import noisy_classifier
from experiments.recipes.scenes import judges
from experiments.runs import SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff import weights
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig
from lightning_mmdiff.methods.single import Classify, RealImages
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.metrics.kid import kernel_distance, unit_length
from lightning_mmdiff.runtime.checkpoints import save_weights
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.schedules import Sampler

PROFILES = ("smoke", "mini", "paper")
COUNT, SIDE = 8, 16
UNPUBLISHED = "Attributes-FaceClassifier"
"""The one protocol that nobody can measure: no paper publishes its weights."""


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", [entry.name for entry in INDEX])
def test_every_column_of_every_table_is_in_the_catalogue(name: str, profile: str) -> None:
    for metric in importlib.import_module(f"experiments.{name}").table(profile, 0).metrics:
        assert replace(metric, source="") == column(metric.column, metric.protocol)  # nothing is said twice


def test_names_are_different_and_weights_are_files_of_the_table() -> None:
    names = [protocol.name for protocol in PROTOCOLS]
    assert len(set(names)) == len(names)
    assert {w for p in PROTOCOLS for w in p.weights} <= {weight.name for weight in weights.WEIGHTS}


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"No protocol is called 'PSNR-hiden'; the nearest name is 'PSNR-Hidden'\."):
        by_name("PSNR-hiden")
    with pytest.raises(UserError, match="No protocol is called ''"):
        by_name("")


class AnyData:
    """As many test images as samples, with every condition that some protocol reads."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.folder, self.test = folder, self
        self.train = self if seed else AnyData(folder.with_name(f"{folder.name}-train"), seed=1)
        self.image = torch.from_numpy(rng.integers(0, 256, (COUNT, 3, SIDE, SIDE), np.uint8))
        self.label_map = torch.from_numpy(rng.integers(0, 19, (COUNT, SIDE, SIDE)).astype(np.uint8))
        self.mask = torch.from_numpy(255 * rng.integers(0, 2, (COUNT, 1, SIDE, SIDE)).astype(np.uint8))
        self.attributes = torch.from_numpy(rng.integers(0, 2, (COUNT, 40)).astype(np.int8))
        self.label = torch.arange(COUNT)
        folder.mkdir()

    def __len__(self) -> int:
        return COUNT

    def fingerprint(self) -> str:
        return "any"

    def setup(self) -> None:
        """Nothing to open."""

    def original_label_maps(self, numbers: Sequence[int]) -> np.ndarray:
        return self.label_map[list(numbers)].numpy()

    def batch(self, numbers: Sequence[int]) -> dict:
        numbers = list(numbers)
        conditions = {
            "mask": self.mask[numbers], "attributes": self.attributes[numbers], "label": self.label[numbers],
            "caption": ["a face"] * len(numbers), "hair": self.mask[numbers], "scene": self.label[numbers] % 6,
            "other": self.label[numbers].flip(0), "full_caption": ["a meadow and a car"] * len(numbers),
        }  # fmt: skip
        return {
            "image": self.image[numbers], "label_map": self.label_map[numbers], "conditions": conditions,
            "index": torch.tensor(numbers),
        }  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SimpleNamespace:
    """Sample runs with everything that a protocol reads: images, provenance, influence, an expert with random weights."""
    root = tmp_path_factory.mktemp("runs")
    data = DataConfig(dataset="imagenet", image_size=SIDE)
    denoiser = TrainRun(
        name="denoiser", model=tiny_config(image_size=SIDE), data=(data,), batch_size=4,
        trainer=TrainerConfig(max_steps=1, checkpoint_every=1),
    )  # fmt: skip
    classifier = noisy_classifier("smoke", 0, noised=False)
    for run in (denoiser, classifier):
        save_weights(build.model(run, None), RunFolder(root / run.name).weights, {})

    def sampled(name: str, method: MethodConfig) -> Samples:
        sampler = Sampler(name="ddim", num_steps=2) if method.takes_sampler else None
        run = SampleRun(name=name, method=method, data=data, num_images=COUNT, sampler=sampler)
        return _samples(root / name, run, AnyData(root / f"{name}-data"), classifier)

    return SimpleNamespace(
        generated=sampled("generated", Unite(experts=(ExpertUse(run=denoiser, conditions=()),))),
        classified=sampled("classified", Classify(model=classifier)),
        real=sampled("real", RealImages()),
    )


def _samples(folder: Path, run: SampleRun, data: AnyData, classifier: TrainRun) -> Samples:
    files, rng = RunFolder(folder), np.random.default_rng(1)
    files.samples.mkdir(parents=True)
    np.save(files.samples / "00000.npy", rng.integers(0, 256, (COUNT, 3, SIDE, SIDE), np.uint8))
    files.provenance.write_text(json.dumps({"stage": {"sample": {"seconds": 1.0}}}))
    np.savez(files.influence, influence=rng.random((3, 2, COUNT, 8, 8)).astype(np.float16))
    models = (
        *face_parser("smoke"), *attribute_evaluator("smoke"), object_captions("smoke"), *judges("smoke"), classifier,
    )  # fmt: skip
    evaluators = {model.name: build.model(model, None).eval() for model in models}
    evaluators[f"digit-classifier-{SIDE}"] = evaluators[classifier.name]
    return Samples(folder, run, evaluators, data)  # type: ignore[arg-type]


def samples_for(protocol: Protocol, runs: SimpleNamespace) -> Samples:
    """The run that a protocol can be asked of."""
    if protocol.name in ("Top1", "Top5"):
        return runs.classified
    return runs.real if protocol in embeddings.PROTOCOLS else runs.generated


def files_in(sentence: str) -> list[str]:
    """Names of the weights whose file a sentence speaks of."""
    return [weight.name for weight in weights.WEIGHTS if weight.file in sentence]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
def test_a_protocol_measures_or_names_a_file_of_its_own(protocol: Protocol, runs, tmp_path, monkeypatch) -> None:
    for variable in (weights.ENVIRONMENT_VARIABLE, "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    samples = samples_for(protocol, runs)
    if protocol.weights or protocol.name == UNPUBLISHED:
        with pytest.raises(MissingFileError) as caught:
            protocol.measure(samples)
        named = files_in(str(caught.value))
        assert len(named) == bool(protocol.weights)
        assert set(named) <= set(protocol.weights)
        return
    if protocol.least_images > COUNT:
        with pytest.raises(UserError, match=f"{protocol.name} needs {protocol.least_images} images, got 8"):
            protocol.measure(samples)
        return
    result = protocol.measure(samples)
    assert (result.protocol, result.better) == (protocol.name, protocol.better)
    low, high = protocol.range
    assert low is None or result.value >= low - 1e-6
    assert high is None or result.value <= high + 1e-6
    assert np.isfinite(result.value)


@pytest.mark.parametrize(
    ("protocol", "lacking"), [(p, w) for p in PROTOCOLS for w in p.weights], ids=lambda x: getattr(x, "name", x)
)
def test_a_protocol_needs_each_of_its_files(protocol: Protocol, lacking: str, runs, tmp_path, monkeypatch) -> None:
    def require(name: str) -> Path:
        if name == lacking:
            raise MissingFileError(f"{name} is missing")
        return tmp_path / name

    monkeypatch.setattr(weights, "require", require)
    with pytest.raises(MissingFileError, match=f"^{lacking} is missing$"):
        protocol.measure(samples_for(protocol, runs))


def test_kid_takes_the_features_of_fid_as_they_are_and_its_stand_in_scales_them(runs, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((COUNT, 5)), rng.random((COUNT, 5)) + 1
    monkeypatch.setattr(Samples, "features", lambda self, features: x)
    monkeypatch.setattr(Samples, "reference", lambda self, features: y)
    assert by_name("KID").features == by_name("FID").features
    assert by_name("KID").measure(runs.generated).value == pytest.approx(kernel_distance(x, y))
    scaled = kernel_distance(unit_length(x), unit_length(y))
    assert by_name("KID-EffNetLite0").measure(runs.generated).value == pytest.approx(scaled)


def test_what_protocols_share_is_computed_once(runs) -> None:
    calls = []

    def expensive(samples: Samples) -> int:
        calls.append(samples)
        return 7

    assert [runs.generated.once(expensive) for _ in range(3)] == [7, 7, 7]
    assert runs.real.once(expensive) == 7
    assert calls == [runs.generated, runs.real]


def test_what_cannot_be_measured_is_left_with_its_reason(runs, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(weights.ENVIRONMENT_VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    samples, asked = runs.generated, ("SSIM", "FID", UNPUBLISHED)
    score(samples.folder, samples.run, asked, samples.evaluators, samples.data)
    assert RunFolder(samples.folder).missing(asked) == ["FID", UNPUBLISHED]
    reasons = json.loads(RunFolder(samples.folder).unmeasured.read_text())
    assert list(reasons) == sorted(RunFolder(samples.folder).missing(asked))
    assert files_in(reasons["FID"]) == ["inception"]
    with pytest.raises(UserError, match="the nearest name is 'SSIM'"):
        score(samples.folder, samples.run, ("SSIMM",), samples.evaluators, samples.data)
