"""Pictures of influence: maps of the first samples over time for each modality, and the mean per face region over time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from experiments.figures.galleries import NUM_IMAGES, Strip
from experiments.protocols.influence import influence_maps
from experiments.protocols.samples import Samples
from reports.galleries import Figure, Line

NUM_TIMES = 5
"""Number of steps shown, evenly spaced from noise to image."""
MODALITIES = ("mask", "text")
COLORS = "viridis"


def color_bar() -> dict[str, Any]:
    """Return what the colors of a map mean."""
    colors = [to_hex(colormaps[COLORS](share)) for share in np.linspace(0, 1, 9)]
    return {"low": "0: no influence", "high": "1: all", "colors": colors}


def influence_strips(label: str, evaluation: Samples) -> Iterator[Strip]:
    """Yield the samples of a row, then each modality's influence at some steps."""
    influence = influence_maps(evaluation)
    yield Strip(label=label, pictures=evaluation.images[:NUM_IMAGES].permute(0, 2, 3, 1).numpy(), row=label)
    steps = np.linspace(0, len(influence.maps) - 1, NUM_TIMES).round().astype(int)
    for number, modality in enumerate(MODALITIES):
        for step in dict.fromkeys(steps.tolist()):
            maps = influence.maps[step, number, :NUM_IMAGES]
            pictures = (255 * colormaps[COLORS](maps)[..., :3]).round().astype(np.uint8)
            yield Strip(
                label=f"influence of the {modality}, t = {influence.timesteps[step]}", pictures=pictures, row=label
            )


def over_time(label: str, evaluation: Samples, caption: str) -> Figure:
    """Return the mean influence of the mask in each face region over the sampling steps, a line for each region."""
    influence = influence_maps(evaluation)
    lines = (
        Line(label=region, points=tuple(zip(map(float, influence.timesteps), map(float, values), strict=True)))
        for region, values in influence.over_time().items()
    )
    return Figure(
        title="Mean influence of the mask over time", caption=caption, x="t (sampling goes from right to left)", y=label,
        lines=tuple(lines),
    )  # fmt: skip
