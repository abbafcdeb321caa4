"""Measures a finished sample run: one branch per protocol, each result stored with its bootstrap replicates."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from datamodules.face_classes import FACE_CLASSES
from datamodules.faces import FaceDataModule
from experiments import build
from experiments.spec import SampleRun, TrainRun
from lightning_mmdiff.callbacks.shards import read_images, shard_files
from lightning_mmdiff.files import write_json
from lightning_mmdiff.methods.lapa_parser import load_lapa_parser
from lightning_mmdiff.metrics import lpips, segmentation, ssim
from lightning_mmdiff.metrics.features import cached_reference, extract, extract_shards
from lightning_mmdiff.metrics.frechet import fit_gaussian
from lightning_mmdiff.metrics.networks import EffNetLite0, FeatureNetwork, Inception
from lightning_mmdiff.metrics.results import (
    RESERVED,
    MetricResult,
    frechet_result,
    kernel_result,
    mean_result,
    save_results,
)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
GROUPS = {
    "hair": ("hair",),
    "skin": ("skin",),
    "nose": ("nose",),
    "eyes": ("l_eye", "r_eye"),
    "brows": ("l_brow", "r_brow"),
    "mouth": ("mouth", "u_lip", "l_lip"),
}
"""What the masks of 32-pixel faces are judged on: smaller parts are one or two pixels wide."""


def missing(folder: Path, protocols: Sequence[str]) -> list[str]:
    """Protocols that metrics.json does not hold yet."""
    path = folder / "metrics.json"
    done = json.loads(path.read_text()) if path.exists() else {}
    return [p for p in protocols if p not in done]


def score(folder: Path, run: SampleRun, protocols: Sequence[str], judges: "Judges", data: FaceDataModule) -> None:
    """Measure the missing protocols of ``run`` one by one; what cannot be measured here is left with its reason."""
    data.setup()
    evaluation = Evaluation(folder, run, judges, data)
    reasons: dict[str, str] = {}
    for protocol in tqdm(missing(folder, protocols), desc=f"  scoring {run.name}", unit="metric", leave=False):
        try:
            result = evaluation.measure(protocol)
        except (FileNotFoundError, ImportError) as error:  # weights or a parser that this machine lacks
            reasons[protocol] = str(error)
        else:
            save_results(folder, [*_stored(folder), result])
    if reasons:
        write_json(folder / "unmeasured.json", reasons)
    else:
        (folder / "unmeasured.json").unlink(missing_ok=True)


class Judges:
    """The models that only measure, each loaded when first asked for."""

    def __init__(self, runs: Mapping[str, TrainRun], root: Path):
        """``runs`` by name; trained below ``root``."""
        self._runs, self._root = runs, root
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return the trained judge ``name``."""
        if name not in self._loaded:
            self._loaded[name] = build.trained(self._runs[name], self._root)
        return self._loaded[name]


class Evaluation:
    """The images of one run beside the real images whose conditions they were given."""

    def __init__(self, folder: Path, run: SampleRun, judges: Judges, data: FaceDataModule):
        """``data`` is set up; its test split is the reference."""
        self.folder, self.run, self.judges, self.data = folder, run, judges, data

    def measure(self, protocol: str) -> MetricResult:
        """Measure one protocol.

        Raises:
            FileNotFoundError: if it needs weights that are not on disk.
        """
        match protocol:
            case "FID":
                return self._frechet(protocol, Inception)
            case "FD-EffNetLite0":
                return self._frechet(protocol, EffNetLite0)
            case "KID-EffNetLite0":
                network = EffNetLite0
                return kernel_result(
                    protocol, self._features(network), self._reference(network), reference=self._against
                )
            case "LPIPS":
                return mean_result(protocol, lpips.LPIPS(device=DEVICE)(self.images, self.real), better="lower")
            case "PD-EffNetLite0":
                return mean_result(
                    protocol, lpips.PerceptualDistance(device=DEVICE)(self.images, self.real), better="lower"
                )
            case "SSIM":
                return mean_result(protocol, ssim.ssim(self.images, self.real), better="higher")
            case "mIoU-MiniParser":
                return mean_result(protocol, self._mask_scores.miou, better="higher")
            case "F1-MiniParser":
                return mean_result(protocol, self._mask_scores.f1, better="higher")
            case "mIoU-LaPa":
                scores = self._lapa_scores
                return mean_result(protocol, scores.miou, better="higher", images_without_face=scores.num_failed)
            case "F1-LaPa":
                scores = self._lapa_scores
                return mean_result(protocol, scores.f1, better="higher", images_without_face=scores.num_failed)
            case "Attributes-MiniJudge":
                return mean_result(protocol, self._attribute_accuracy(), better="higher")
            case "Attributes-FaceClassifier":
                raise FileNotFoundError(
                    "no paper publishes an attribute classifier, and none is trained at this profile."
                )
        raise ValueError(f"Unknown protocol {protocol!r}.")

    @cached_property
    def real(self) -> Tensor:
        """Real image of each sample's conditions, uint8 [N, 3, H, W]."""
        return self._test["image"]

    @cached_property
    def images(self) -> Tensor:
        """Samples, uint8 [N, 3, H, W]; for the ceiling the real images themselves."""
        if self.run.method == "real":
            return self.real
        return torch.from_numpy(read_images(self.folder / "samples", self.run.num_images, self.run.shard_size))

    def parsed(self, images: Tensor) -> np.ndarray:
        """Label maps of ``images`` by the face parser, uint8 [N, H, W]."""
        return torch.cat([self.judges["face-parser"].parse(batch) for batch in images.split(64)]).numpy()

    @cached_property
    def _test(self) -> dict[str, Any]:
        return self.data.test.batch([i % len(self.data.test) for i in range(self.run.num_images)])

    @cached_property
    def _mask_scores(self) -> segmentation.Scores:
        groups = [[FACE_CLASSES.index(c) for c in classes] for classes in GROUPS.values()]
        target = self._test["label_map"].numpy()
        return segmentation.image_scores(self.parsed(self.images), target, len(FACE_CLASSES), groups=groups)

    @cached_property
    def _lapa_scores(self) -> segmentation.Scores:
        """Background, skin and hair by Unite and Conquer's parser; an image without a face scores 0 and is counted."""
        parser = load_lapa_parser(torch.device(DEVICE))
        parsed = [parser.parse(batch) for batch in self.images.split(16)]
        target = np.zeros(self._test["label_map"].shape, np.uint8)
        for number, name in enumerate(("skin", "hair"), 1):
            target[self._test["label_map"].numpy() == FACE_CLASSES.index(name)] = number
        failed = torch.cat([p.num_faces for p in parsed]).numpy() == 0
        return segmentation.image_scores(torch.cat([p.label_map for p in parsed]).numpy(), target, 3, failed=failed)

    def _attribute_accuracy(self) -> np.ndarray:
        """Share of the judged attributes that are right, [N]."""
        judge = self.judges["attribute-judge"]
        predicted = torch.cat([judge.predict(batch) for batch in self.images.split(64)]) > 0.5
        truth = judge.target(self._test["conditions"]["attributes"]) > 0.5
        return (predicted == truth).double().mean(dim=1).numpy()

    def _frechet(self, protocol: str, network: type[FeatureNetwork]) -> MetricResult:
        reference = fit_gaussian(self._reference(network))
        return frechet_result(protocol, self._features(network), reference, reference=self._against)

    def _kernel(self, protocol: str, network: type[FeatureNetwork]) -> MetricResult:
        return kernel_result(protocol, self._features(network), self._reference(network), reference=self._against)

    def _features(self, network: type[FeatureNetwork]) -> np.ndarray:
        shards = shard_files(self.folder / "samples", self.run.num_images, self.run.shard_size)
        return extract_shards(shards, network, self.folder / "features", device=DEVICE)

    @property
    def _against(self) -> str:
        return f"{len(self.data.test)} real test images of {self.run.data.dataset}"

    def _reference(self, network: type[FeatureNetwork]) -> np.ndarray:
        """Features of all real test images, computed once per data set and network."""
        indices = range(len(self.data.test))
        batches = [list(indices[i : i + 32]) for i in range(0, len(indices), 32)]
        name = f"{self.run.data.dataset}-{self.run.data.split}-{self.run.data.image_size}px-{network.name}.npz"
        arrays = cached_reference(
            self.folder.parent / "reference" / name,
            f"{build.fingerprint(self.data)} {self.run.data.captions} {len(indices)}",
            lambda: {
                "features": extract((self.data.test.batch(b)["image"] for b in batches), network(), device=DEVICE)
            },
        )
        return arrays["features"]


def _stored(folder: Path) -> list[MetricResult]:
    """Results that an earlier call has measured."""
    path = folder / "metrics.json"
    if not path.exists():
        return []
    with np.load(folder / "replicates.npz") as replicates:
        return [
            MetricResult(
                protocol=protocol, value=entry["value"], n=entry["n"], better=entry["better"],
                replicates=replicates[protocol], extra={k: v for k, v in entry.items() if k not in RESERVED},
            )
            for protocol, entry in json.loads(path.read_text()).items()
        ]  # fmt: skip
