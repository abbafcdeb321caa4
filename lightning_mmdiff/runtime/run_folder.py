"""What lies in the folder of a run: the one place for the names of its files."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths of the files of one run, ``<out>/<profile>/<name of the run>``."""

    path: Path

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
    def provenance(self) -> Path:
        """How each stage was made: commit, versions, hardware, seconds."""
        return self.path / "provenance.json"

    @property
    def locks(self) -> Path:
        """Folder that says which process is doing what."""
        return self.path / ".locks"
