"""The space that runs take on disk. Estimates for planning."""

from collections.abc import Sequence

from experiments.core import costs
from experiments.runs import Run, SampleRun
from lightning_mmdiff.methods.config import Preparation

WEIGHT_BYTES = 4
"""Bytes per stored parameter."""
CHECKPOINTS = 3
"""Number of checkpoints on disk at a time: the two newest, and one being written."""
STATE_BYTES = 16
"""Bytes per trained parameter in a checkpoint: weight, two moments of Adam, average."""
FEATURES = 4096
"""Number of features stored per image, of all networks together."""


def stored_bytes(runs: Sequence[Run]) -> int:
    """Estimate the bytes that ``runs`` write; a preparation that several of them share counts once."""
    images: dict[Preparation, int] = {}
    for run in runs:
        if isinstance(run, SampleRun) and (preparation := run.method.preparation) is not None:
            images[preparation] = max(run.num_images, images.get(preparation, 0))
    return sum(map(_of_run, runs)) + sum(_of_preparation(p, count) for p, count in images.items())


def _of_run(run: Run) -> int:
    """Estimate the bytes of the run alone: weights and checkpoints, or the samples and their features."""
    if isinstance(run, SampleRun):
        return run.num_images * (3 * run.data.image_size**2 + 4 * FEATURES)
    size = costs.size(run)
    return 0 if size is None else size.trained * (CHECKPOINTS * STATE_BYTES + WEIGHT_BYTES)


def _of_preparation(preparation: Preparation, num_images: int) -> int:
    """Estimate the bytes of the tuned networks that stay, or of those of one image, and of the checkpoints of one network."""
    sizes = [costs.tuned_parameters(model) for model in preparation.models]
    kept = num_images if preparation.keeps_networks else 1
    return kept * WEIGHT_BYTES * sum(sizes) + CHECKPOINTS * STATE_BYTES * max(sizes, default=0)
