"""The input of a protocol: the images of one sample run and the real images whose conditions they were given."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from datamodules.base import PackedDataModule
from datamodules.batches.steps import DataSplit
from experiments.core.build import DEVICE
from experiments.core.edits import target_indices
from experiments.runs import SampleRun
from lightning_mmdiff.callbacks.shards import read_images, shard_files
from lightning_mmdiff.metrics.features import extract_outputs, shard_outputs
from lightning_mmdiff.metrics.networks import FeatureNetwork
from lightning_mmdiff.metrics.reference_cache import cached_reference
from lightning_mmdiff.metrics.stages import KeptStages
from lightning_mmdiff.runtime.run_folder import RunFolder

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Features:
    """One output of a network for every image."""

    network: type[FeatureNetwork]
    output: str
    """Name of the output: "pool", "spatial", "logits", or "distance" to the real image of each sample's conditions."""

    @property
    def label(self) -> str:
        """Name in file names: that of the network alone for the pooled output."""
        return self.network.name if self.output == "pool" else f"{self.network.name}.{self.output}"


def in_batches(count: int, size: int = 32) -> Iterator[list[int]]:
    """Yield the numbers 0 to ``count`` in lists of ``size``."""
    yield from (list(range(count)[i : i + size]) for i in range(0, count, size))


def on_device(compute: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return what ``compute`` makes of ``images`` [N, ...], 64 at once on the device of the networks, on the CPU."""
    return torch.cat([compute(batch.to(DEVICE)).cpu() for batch in images.split(64)])


class Samples:
    """The images of one run, and what they are compared with."""

    def __init__(self, folder: Path, run: SampleRun, evaluators: Any, data: PackedDataModule):
        """Take a run whose samples are on disk.

        Args:
            folder: folder of the run.
            run: the sample run.
            evaluators: mapping from name to trained evaluator.
            data: data module, already set up; its test split is the reference.
        """
        self.folder, self.run, self.evaluators, self.data = folder, run, evaluators, data
        self._known: dict[Callable, Any] = {}

    @property
    def are_real(self) -> bool:
        """Whether the images are the data set's own: the ceiling of every metric."""
        return self.run.method.is_real

    @property
    def show_data(self) -> bool:
        """Whether images are used; if only a configuration is counted, no data set is opened."""
        return self.run.method.reads_data

    def once(self, compute: Callable[["Samples"], T]) -> T:
        """Return ``compute(self)``, computed once for all protocols that share it."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return self._known[compute]

    @cached_property
    def real(self) -> Tensor:
        """Real image of each sample's conditions, uint8 [N, 3, H, W]."""
        return self.test["image"]

    @cached_property
    def images(self) -> Tensor:
        """Samples, uint8 [N, 3, H, W]; for the ceiling, the real images themselves."""
        if not self.are_real:
            return self.stored
        return self.originals if self.run.method.is_unedited else self.real

    @cached_property
    def originals(self) -> Tensor:
        """Test images before editing, uint8 [N, 3, H, W]."""
        return self.data.test.batch([i % len(self.data.test) for i in range(self.run.num_images)])["image"]

    @cached_property
    def stored(self) -> Tensor:
        """Images in the shards, uint8 [N, 3, H, W]; for the ceiling, training images."""
        return torch.from_numpy(read_images(self._files.samples, self.run.num_images, self.run.shard_size))

    @cached_property
    def test(self) -> dict[str, Any]:
        """Batch of the test images whose conditions the samples were given."""
        return self.data.test.batch(target_indices(self.run, len(self.data.test)))

    def original_label_maps(self, numbers: Iterable[int]) -> np.ndarray:
        """Return the label maps behind the conditions of these samples at the size of their files, uint8 [B, H, W]."""
        faces: Any = self.data.test  # only face data sets have label maps in a size of their own
        indices = target_indices(self.run, len(faces))
        return faces.original_label_maps([indices[number] for number in numbers])

    def parsed(self, images: Tensor) -> np.ndarray:
        """Return the label maps of ``images`` by the face parser, uint8 [N, H, W]."""
        return on_device(self.evaluators["face-parser"].parse, images).numpy()

    def prepare(self, features: Iterable[Features]) -> None:
        """Compute the needed outputs of each network in one pass over the samples; processes share the shards.

        Raises:
            MissingFileError: if weights are not on disk.
        """
        by_network: dict[type[FeatureNetwork], list[str]] = {}
        for each in features:
            if each.output == "distance" and self.are_real:
                continue  # those in the shards have no real image of their conditions
            by_network.setdefault(each.network, []).append(each.output)
        for network, outputs in by_network.items():
            self._outputs(network, tuple(dict.fromkeys(outputs)))

    def features(self, features: Features) -> np.ndarray:
        """Return the features [N, D] of the samples; those of a shard are computed by one process and stored."""
        return self._outputs(features.network, (features.output,))[features.output]

    def reference(self, features: Features) -> np.ndarray:
        """Return the features [M, D] of all real test images, computed once per data set, network and output."""
        return self._real_features(features, self.data.test, len(self.data.test), "")

    def training(self, features: Features, count: int) -> np.ndarray:
        """Return the features [count, D] of the first training images, computed once per data set, network and output."""
        return self._real_features(features, self.data.train, count, f"-train-{count}")

    def kept(self, name: str, key: str, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return arrays that depend on the data set alone, computed once for all runs.

        Args:
            name: what the arrays are; part of the file's name.
            key: what they were computed from, besides the data set; arrays of another key are computed again.
            compute: computes the arrays.
        """
        data = self.run.data
        path = self.folder.parent / "reference" / f"{data.dataset}-{data.split}-{data.image_size}px-{name}.npz"
        return cached_reference(path, f"{self.data.fingerprint()} {data.captions} {key}", compute)

    @property
    def against(self) -> str:
        """Description of the images behind ``reference``, for the reader of a result."""
        return f"{len(self.data.test)} real test images of {self.run.data.dataset}"

    @property
    def _files(self) -> RunFolder:
        return RunFolder(self.folder)

    def _real_features(self, features: Features, split: DataSplit, count: int, suffix: str) -> np.ndarray:
        """Return the features [count, D] of the first images of a split; ``suffix`` tells its file from others."""

        def compute() -> dict[str, np.ndarray]:
            images = (split.batch(indices)["image"] for indices in in_batches(count))
            outputs = extract_outputs(images, features.network(), (features.output,), device=DEVICE)
            return {"features": outputs[features.output]}

        return self.kept(f"{features.label}{suffix}", str(count), compute)["features"]

    def _outputs(self, network: type[FeatureNetwork], names: tuple[str, ...]) -> dict[str, np.ndarray]:
        shards = shard_files(self._files.samples, self.run.num_images, self.run.shard_size)
        references = self.real.split(self.run.shard_size) if "distance" in names else ()
        return shard_outputs(
            shards, network, names, self._files.features, device=DEVICE, references=references, kept=_kept_stages()
        )


@cache
def _kept_stages() -> KeptStages:
    """Return what this process keeps of real images, for all runs that it measures."""
    return KeptStages()
