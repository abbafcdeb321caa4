"""What lies in the folder of a run: the one place for the names of its files, and for whether its work is done."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths of the files of one run, ``<out>/<profile>/<name of the run>``."""

    path: Path

    @classmethod
    def begun(cls, profile: Path) -> list["RunFolder"]:
        """Return the folders of all runs of a profile, ``<out>/<profile>``, that have settings, in alphabetical order."""
        return [cls(path.parent) for path in sorted(profile.glob(f"*/{cls(profile).config.name}"))]

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def config(self) -> Path:
        """Settings that the run was made with; written first."""
        return self.path / "config.json"

    @property
    def weights(self) -> Path:
        """Weights of a finished training."""
        return self.path / "weights.safetensors"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints that a training goes on from; empty when it is done."""
        return self.path / "checkpoints"

    @property
    def loss_curve(self) -> Path:
        """Loss over the training steps."""
        return self.path / "loss.csv"

    @property
    def samples(self) -> Path:
        """Folder of the sampled images, in shards."""
        return self.path / "samples"

    def shard(self, number: int) -> Path:
        """File of shard ``number`` of the samples, counted from 0."""
        return shard_path(self.samples, number)

    @property
    def features(self) -> Path:
        """Folder of what feature networks say of the samples, by shard."""
        return self.path / "features"

    @property
    def influence(self) -> Path:
        """Recorded influence of collaborating experts on the first samples."""
        return self.path / "influence.npz"

    @property
    def metrics(self) -> Path:
        """Measured values."""
        return self.path / "metrics.json"

    @property
    def replicates(self) -> Path:
        """Bootstrap replicates of the measured values."""
        return self.path / "replicates.npz"

    @property
    def unmeasured(self) -> Path:
        """Why metrics could not be measured."""
        return self.path / "unmeasured.json"

    @property
    def failure(self) -> Path:
        """Why the last attempt failed; absent where none did."""
        return self.path / "failed.txt"

    @property
    def reason(self) -> str:
        """Why the last attempt failed, without the traceback; "" where none did or none is told."""
        text = self.failure.read_text(errors="replace") if self.failure.is_file() else ""
        return text.partition("\n\n")[0].strip()

    @property
    def provenance(self) -> Path:
        """How each stage was made: commit, versions, hardware, seconds."""
        return self.path / "provenance.json"

    @property
    def locks(self) -> Path:
        """Folder that says which process is doing what."""
        return self.path / ".locks"

    @property
    def is_trained(self) -> bool:
        """Whether a training is finished."""
        return self.weights.is_file()

    @property
    def is_scored(self) -> bool:
        """Whether samples have measured values, though perhaps not all that a table asks for."""
        return self.metrics.is_file()

    def missing(self, protocols: Iterable[str]) -> list[str]:
        """Return the protocols that have no measured value yet; all, where the file of the values cannot be read."""
        try:
            measured = json.loads(self.metrics.read_text())
        except (FileNotFoundError, ValueError):
            measured = {}
        return [protocol for protocol in protocols if protocol not in measured]


def shard_path(samples: Path, number: int) -> Path:
    """Return the file of shard ``number``, counted from 0, in a folder of samples."""
    return samples / f"{number:05d}.npy"
