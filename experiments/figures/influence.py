"""Pictures of influence: maps of the first samples over time for each modality, and the mean per face region over time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colormaps

from experiments.figures.galleries import NUM_IMAGES, Strip
from experiments.protocols.influence import influence_maps
from experiments.protocols.samples import Samples
from lightning_mmdiff.runtime.files import atomic_path

NUM_TIMES = 5
"""Number of steps shown, evenly spaced from noise to image."""
MODALITIES = ("mask", "text")


def influence_strips(label: str, evaluation: Samples) -> Iterator[Strip]:
    """Yield the samples of a row, then each modality's influence at some steps: dark is 0, bright is 1."""
    influence = influence_maps(evaluation)
    yield label, evaluation.images[:NUM_IMAGES].permute(0, 2, 3, 1).numpy()
    steps = np.linspace(0, len(influence.maps) - 1, NUM_TIMES).round().astype(int)
    for number, modality in enumerate(MODALITIES):
        for step in dict.fromkeys(steps.tolist()):
            maps = influence.maps[step, number, :NUM_IMAGES]
            pictures = (255 * colormaps["viridis"](maps)[..., :3]).round().astype(np.uint8)
            yield f"  influence of the {modality}, t = {influence.timesteps[step]}", pictures


def plot_over_time(rows: Sequence[tuple[str, Samples]], path: Path) -> None:
    """Plot the mean influence of the mask in each face region over the sampling steps, one panel per row."""
    figure, axes = plt.subplots(
        1, len(rows), figsize=(4.2 * len(rows), 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (label, evaluation) in zip(axes[0], rows):
        influence = influence_maps(evaluation)
        for region, values in influence.over_time().items():
            ax.plot(influence.timesteps, values, label=region)
        ax.axhline(0.5, color="0.7", linewidth=0.8, zorder=0)
        ax.set(title=label, xlabel="t (sampling goes from left to right)", ylim=(0, 1))
        ax.invert_xaxis()
    axes[0, 0].set_ylabel("mean influence of the mask")
    axes[0, 0].legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)
