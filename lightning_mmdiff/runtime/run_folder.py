"""Contents of a run folder: the only place for the names of its files, and for whether its work is done."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lightning_mmdiff.runtime.stored import stored_arrays, stored_json

HELD_OUT = "held_out_"
"""Start of the names of the columns of ``RunFolder.loss_curve`` that hold values on held-out images."""
RULES = 2
"""Rules by which replicates are made; results of older ones are made again, so that no table pairs two kinds of intervals.

2: influences and pseudo-values where 1, which results did not name, had resamples.
"""


@dataclass(frozen=True)
class RunFolder:
    """Paths of the files of one run, in ``<out>/<profile>/<name of the run>``."""

    path: Path

    @classmethod
    def begun(cls, profile: Path) -> list["RunFolder"]:
        """Return the folders of all runs below ``<out>/<profile>`` that have settings, in alphabetical order."""
        return [cls(path.parent) for path in sorted(profile.glob(f"*/{cls(profile).config.name}"))]

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def config(self) -> Path:
        """Settings of the run; written first."""
        return self.path / "config.json"

    @property
    def weights(self) -> Path:
        """Weights after training is finished."""
        return self.path / "weights.safetensors"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints from which training resumes; empty when training is done."""
        return self.path / "checkpoints"

    @property
    def loss_curve(self) -> Path:
        """Loss by training step, its parts, and both on held-out images at some of the steps."""
        return self.path / "loss.csv"

    @property
    def samples(self) -> Path:
        """Folder of the sampled images, in shards."""
        return self.path / "samples"

    def shard(self, number: int) -> Path:
        """Return the file of shard ``number`` of the samples, counted from 0."""
        return shard_path(self.samples, number)

    @property
    def features(self) -> Path:
        """Folder of the samples' features from evaluation networks, by shard."""
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
        """Reasons why metrics could not be measured."""
        return self.path / "unmeasured.json"

    @property
    def reasons(self) -> dict[str, str]:
        """Protocol -> reason why it could not be measured; {} if the file cannot be read."""
        return {name: str(reason) for name, reason in stored_json(self.unmeasured).items()}

    @property
    def failure(self) -> Path:
        """Reason why the last attempt failed; absent if it did not."""
        return self.path / "failed.txt"

    @property
    def reason(self) -> str:
        """Reason why the last attempt failed, without the traceback; "" if it did not or gives no reason."""
        text = self.failure.read_text(encoding="utf-8", errors="replace") if self.failure.is_file() else ""
        return text.partition("\n\n")[0].strip()

    @property
    def provenance(self) -> Path:
        """Origin of each stage: commit, versions, hardware, seconds."""
        return self.path / "provenance.json"

    @property
    def locks(self) -> Path:
        """Folder of the locks that show which process does which work."""
        return self.path / ".locks"

    @property
    def is_trained(self) -> bool:
        """Whether training is finished."""
        return self.weights.is_file()

    @property
    def is_scored(self) -> bool:
        """Whether the samples have measured values, though perhaps not all that a table needs."""
        return self.metrics.is_file()

    def missing(self, protocols: Iterable[str]) -> list[str]:
        """Return the protocols without a value by today's ``RULES``; all of them if the files cannot be read."""
        current = {name for name, (entry, _) in self.measured().items() if entry.get("rules") == RULES}
        return [protocol for protocol in protocols if protocol not in current]

    def measured(self) -> dict[str, tuple[dict[str, Any], NDArray[Any]]]:
        """Return protocol -> (its entry in the values, its replicates), where both are whole."""
        values = stored_json(self.metrics)
        replicates = (stored_arrays(self.replicates) or {}) if values else {}
        return {name: (v, replicates[name]) for name, v in values.items() if name in replicates and _is_measured(v)}


def _is_measured(entry: Any) -> bool:
    """Return whether an entry of the values holds a finite number."""
    value = entry.get("value") if isinstance(entry, Mapping) else None
    return isinstance(value, int | float) and math.isfinite(value)


def shard_path(samples: Path, number: int) -> Path:
    """Return the file of shard ``number``, counted from 0, in a folder of samples."""
    return samples / f"{number:05d}.npy"
