"""The images of one sample run, measured: one branch per protocol."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.base import PackedDataModule
from datamodules.cityscapes import PALETTE
from experiments.core import build
from experiments.core.edits import target_indices
from experiments.protocols import configurations
from experiments.protocols.costs import NUM_REPLICATES, cost_result, evaluations_per_image
from experiments.protocols.embeddings import embedding_result
from experiments.protocols.faces import FaceScores
from experiments.protocols.influence import InfluenceMaps
from experiments.spec import SampleRun
from lightning_mmdiff.callbacks.shards import read_images, shard_files
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
from lightning_mmdiff.methods.single import RealImages
from lightning_mmdiff.metrics import lpips, palette, ssim
from lightning_mmdiff.metrics.classification import accuracy_result
from lightning_mmdiff.metrics.features import cached_reference, extract_outputs, shard_outputs
from lightning_mmdiff.metrics.frechet import fit_gaussian
from lightning_mmdiff.metrics.identity import EffNetIdentity, SFace, identity_result
from lightning_mmdiff.metrics.inception_score import inception_score_result
from lightning_mmdiff.metrics.networks import AdmInception, EffNetLite0, FeatureNetwork, Inception
from lightning_mmdiff.metrics.precision_recall import precision_recall_results
from lightning_mmdiff.metrics.results import MetricResult, frechet_result, kernel_result, mean_result

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
OUTPUTS: dict[str, tuple[type[FeatureNetwork], str]] = {
    "FID": (Inception, "pool"),
    "FID-50": (Inception, "pool"),
    "FID-ADM": (AdmInception, "pool"),
    "sFID-ADM": (AdmInception, "spatial"),
    "IS-ADM": (AdmInception, "logits"),
    "Precision": (AdmInception, "pool"),
    "Recall": (AdmInception, "pool"),
    "FD-EffNetLite0": (EffNetLite0, "pool"),
    "FD-EffNetLite0-50": (EffNetLite0, "pool"),
    "sFD-EffNetLite0": (EffNetLite0, "spatial"),
    "KID-EffNetLite0": (EffNetLite0, "pool"),
    "IS-EffNetLite0": (EffNetLite0, "logits"),
    "Precision-EffNetLite0": (EffNetLite0, "pool"),
    "Recall-EffNetLite0": (EffNetLite0, "pool"),
}
"""Protocols on what a network says of all samples: which network, which of its outputs."""


class Samples:
    """The images of one run beside the real images whose conditions they were given."""

    def __init__(self, folder: Path, run: SampleRun, evaluators: Any, data: PackedDataModule):
        """``evaluators`` gives the trained evaluator of a name; ``data`` is set up, its test split is the reference."""
        self.folder, self.run, self.evaluators, self.data = folder, run, evaluators, data

    def measure(self, protocol: str) -> MetricResult:
        """Measure one protocol.

        Raises:
            MissingFileError: if it needs weights that are not on disk.
        """
        match protocol:
            case "FID" | "FID-50" | "FID-ADM" | "sFID-ADM" | "FD-EffNetLite0" | "FD-EffNetLite0-50" | "sFD-EffNetLite0":
                reference = fit_gaussian(self._reference(protocol))
                outputs = self._outputs(protocol)[: 50 if protocol.endswith("-50") else None]
                return frechet_result(protocol, outputs, reference, reference=self._against)
            case "KID-EffNetLite0":
                return kernel_result(
                    protocol, self._outputs(protocol), self._reference(protocol), reference=self._against
                )
            case "Precision" | "Recall" | "Precision-EffNetLite0" | "Recall-EffNetLite0":
                return self._precision_recall(protocol)
            case "IS-ADM" | "IS-EffNetLite0":
                return inception_score_result(protocol, self._outputs(protocol))
            case "IS-ObjectClassifier":
                return inception_score_result(protocol, np.log(self._object_probabilities.clip(1e-12)))
            case "LPIPS":
                return mean_result(protocol, lpips.LPIPS(device=DEVICE)(self.images, self.real), better="lower")
            case "PD-EffNetLite0":
                distance = lpips.PerceptualDistance(device=DEVICE)(self.images, self.real)
                return mean_result(protocol, distance, better="lower")
            case "SSIM":
                return mean_result(protocol, ssim.ssim(self.images, self.real), better="higher")
            case "PSNR-Hidden":
                return mean_result(protocol, self._hidden_psnr(), better="higher")
            case "MAE-Visible":
                return mean_result(protocol, self._visible_change(), better="lower")
            case (
                "mIoU-MiniParser" | "F1-MiniParser" | "MaskAccuracy-MiniParser" | "mIoU-LaPa" | "F1-LaPa" | "MaskAccuracy"
                | "Attributes-MiniJudge" | "Attributes-FaceClassifier" | "CLIPScore"
            ):  # fmt: skip
                return self.faces.measure(protocol)
            case "Identity-EffNetLite0":
                return identity_result(protocol, EffNetIdentity(device=DEVICE), self.images, self.originals)
            case "Identity-SFace":
                return identity_result(protocol, SFace(), self.images, self.originals)
            case "FD-DigitClassifier":
                real = self.data.test.batch(list(range(len(self.data.test))))["image"]
                reference = fit_gaussian(self._evaluator_features(real))
                return frechet_result(
                    protocol, self._evaluator_features(self._samples), reference, reference=self._against
                )
            case "MillionParameters" | "MillionParameters-Combination" | "MillisecondsPerImage":
                return cost_result(protocol, self.run, self.folder)
            case "NetworkCalls" | "GigaFlops":
                value = self._one_image[protocol == "GigaFlops"]
                return MetricResult(
                    protocol=protocol, value=value, n=1, better="lower", replicates=np.full(NUM_REPLICATES, value)
                )
            case "Label-ObjectClassifier" | "Label-DigitClassifier":
                labels = self.test["conditions"]["label"].numpy()
                return accuracy_result(protocol, self._object_probabilities, labels)
            case "Top1" | "Top5":
                labels = self.test["conditions"]["label"].numpy()
                return accuracy_result(protocol, self._logits, labels, k=int(protocol[3:]))
        if protocol in configurations.PROTOCOLS:
            return configurations.configuration_result(protocol, self.run.method.uses[0])
        if protocol.startswith("Influence-"):
            return self.influence.measure(protocol)
        if protocol.startswith("Embedding"):
            return embedding_result(protocol, self.run, self.folder.parent, self.real, self.evaluators)
        if "-Palette" in protocol:
            return next(r for r in self._palette_results(protocol) if r.protocol == protocol)
        raise UserError(f"Unknown protocol {protocol!r}.")

    def prepare(self, protocols: list[str]) -> None:
        """Compute what the protocols need of each network in one pass over the samples; processes share the shards.

        Raises:
            MissingFileError: if weights are not on disk.
        """
        by_network: dict[type[FeatureNetwork], list[str]] = {}
        for network, output in (OUTPUTS[p] for p in protocols if p in OUTPUTS):
            by_network.setdefault(network, []).append(output)
        for network, outputs in by_network.items():
            shard_outputs(self._shards, network, tuple(dict.fromkeys(outputs)), self.folder / "features", device=DEVICE)

    @cached_property
    def real(self) -> Tensor:
        """Real image of each sample's conditions, uint8 [N, 3, H, W]."""
        return self.test["image"]

    @cached_property
    def images(self) -> Tensor:
        """Samples, uint8 [N, 3, H, W]; for the ceiling the real images themselves."""
        if not self.run.method.is_real:
            return self._samples
        return self.originals if self.run.method == RealImages(of_edit="before") else self.real

    @cached_property
    def originals(self) -> Tensor:
        """Test images before they are edited, uint8 [N, 3, H, W]."""
        return self.data.test.batch([i % len(self.data.test) for i in range(self.run.num_images)])["image"]

    @cached_property
    def _samples(self) -> Tensor:
        """What lies in the shards, uint8 [N, 3, H, W]: for the ceiling training images."""
        return torch.from_numpy(read_images(self.folder / "samples", self.run.num_images, self.run.shard_size))

    @cached_property
    def faces(self) -> FaceScores:
        """What is measured of faces alone."""
        return FaceScores(self.images, self.parsed, self.test, self.evaluators, DEVICE)

    @cached_property
    def influence(self) -> InfluenceMaps:
        """Influence of the collaborating experts on the first samples."""
        return InfluenceMaps(self.folder, self.run, self.data)

    def parsed(self, images: Tensor) -> np.ndarray:
        """Label maps of ``images`` by the face parser, uint8 [N, H, W]."""
        return torch.cat([self.evaluators["face-parser"].parse(batch) for batch in images.split(64)]).numpy()

    @cached_property
    def test(self) -> dict[str, Any]:
        """Batch of the test images whose conditions the samples were given."""
        return self.data.test.batch(target_indices(self.run, len(self.data.test)))

    @property
    def _shards(self) -> list[Path]:
        return shard_files(self.folder / "samples", self.run.num_images, self.run.shard_size)

    def _outputs(self, protocol: str) -> np.ndarray:
        """Output [N, D] of the protocol's network for the samples; each shard is done by one process and kept."""
        network, name = OUTPUTS[protocol]
        return shard_outputs(self._shards, network, (name,), self.folder / "features", device=DEVICE)[name]

    @property
    def _against(self) -> str:
        return f"{len(self.data.test)} real test images of {self.run.data.dataset}"

    def _reference(self, protocol: str) -> np.ndarray:
        """The same of all real test images, computed once per data set, network and output."""
        network, name = OUTPUTS[protocol]
        indices, data = range(len(self.data.test)), self.run.data
        batches = [list(indices[i : i + 32]) for i in range(0, len(indices), 32)]
        label = network.name if name == "pool" else f"{network.name}.{name}"

        def compute() -> dict[str, np.ndarray]:
            images = (self.data.test.batch(b)["image"] for b in batches)
            return {"features": extract_outputs(images, network(), (name,), device=DEVICE)[name]}

        path = self.folder.parent / "reference" / f"{data.dataset}-{data.split}-{data.image_size}px-{label}.npz"
        return cached_reference(path, f"{self.data.fingerprint()} {data.captions} {len(indices)}", compute)["features"]

    def _precision_recall(self, protocol: str) -> MetricResult:
        names = (
            ("Precision", "Recall")
            if protocol in ("Precision", "Recall")
            else ("Precision-EffNetLite0", "Recall-EffNetLite0")
        )
        results = precision_recall_results(
            names, self._outputs(protocol), self._reference(protocol), device=DEVICE, reference=self._against
        )
        return results[names.index(protocol)]

    @cached_property
    def _one_image(self) -> tuple[float, float]:
        """Network calls and 1e9 FLOPs of one sample; real images take none."""
        if self.run.method.is_real:
            return 0.0, 0.0
        return evaluations_per_image(self.run, self.folder.parent, self.data.test.batch([0]))

    @cached_property
    def _object_probabilities(self) -> np.ndarray:
        """Of each class by the evaluator of objects, [N, K]."""
        return torch.cat([self._class_evaluator.predict(batch) for batch in self.images.split(64)]).double().numpy()

    @property
    def _class_evaluator(self) -> Any:
        """Classifier of clean images of this data set."""
        kind = self.run.data.data_set.shows
        return self.evaluators[f"{kind}-classifier-{self.run.data.image_size}"]

    def _evaluator_features(self, images: Tensor) -> np.ndarray:
        """What the evaluator's last layer reads of ``images``, [N, D]."""
        return torch.cat([self._class_evaluator.features(batch) for batch in images.split(64)]).double().numpy()

    @cached_property
    def _logits(self) -> np.ndarray:
        """What the run's own model says of the real test images' class, [N, K]."""
        model = build.trained(self.run.needs[0], self.folder.parent)
        rows = []
        for number, batch in enumerate(self.real.split(64)):
            if isinstance(model, MTDiffusion):
                rows.append(model.predictions(batch, 0, torch.Generator().manual_seed(number))["label"])
            else:
                rows.append(model.predict(batch).log())
        return torch.cat(rows).double().numpy()

    def _hidden_psnr(self) -> np.ndarray:
        """In dB, of the images that have hidden pixels."""
        error = (self.images.double() - self.real.double()).square()
        hidden = (self.test["conditions"]["mask"] == 0).double().expand_as(error)
        count = hidden.sum(dim=(1, 2, 3))
        mse = (error * hidden).sum(dim=(1, 2, 3))[count > 0] / count[count > 0]
        return (10 * torch.log10(255**2 / mse.clamp(min=1e-3))).numpy()

    def _visible_change(self) -> np.ndarray:
        """Mean absolute difference of the visible pixels of each image, in grey levels."""
        error = (self.images.double() - self.real.double()).abs()
        visible = (self.test["conditions"]["mask"] > 0).double().expand_as(error)
        return ((error * visible).sum(dim=(1, 2, 3)) / visible.sum(dim=(1, 2, 3)).clamp(min=1)).numpy()

    def _palette_results(self, protocol: str) -> list[MetricResult]:
        counts = palette.palette_confusion(self.images, self.test["label_map"].numpy(), PALETTE)
        return palette.palette_results(counts, only_present=protocol.endswith("-Present"))
