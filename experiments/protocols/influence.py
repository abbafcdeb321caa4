"""How much influence each model had, where and when: recorded for a run's first samples, and summarized (Fig. 10, Sec. 4.5)."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.base import PackedDataModule
from datamodules.faces.classes import FACE_CLASSES
from experiments.core import build
from experiments.protocols.protocol import COSINE, SHARE, image_mean
from experiments.protocols.samples import DEVICE, Samples
from experiments.runs import SampleRun
from lightning_mmdiff.metrics.segmentation import resize_labels
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import stored_arrays

NUM_IMAGES = 64
"""Number of samples whose influence is recorded; the same images as the run's first shards."""
BATCH = 16
REGIONS = {
    "background": ("background",),
    "hair": ("hair",),
    "skin": ("skin", "nose", "neck"),
    "eyes and brows": ("l_eye", "r_eye", "l_brow", "r_brow"),
    "mouth": ("mouth", "u_lip", "l_lip"),
}
CONTOURS = "contours"
"""Region of the pixels next to another class; they belong to no other region."""


class InfluenceMaps:
    """The recorded influence of one collaborative run, with the label maps that were its conditions."""

    def __init__(self, folder: Path, run: SampleRun, data: PackedDataModule) -> None:
        """Take the run's folder, the run and its data, already set up."""
        self.folder, self.run, self.data = folder, run, data

    @cached_property
    def maps(self) -> NDArray[np.float64]:
        """Influence of every model, [steps, M, N, h, w] in sampling order; recorded once."""
        path = RunFolder(self.folder).influence
        maps = (stored_arrays(path) or {}).get("influence")
        if maps is None:
            maps = self._record().astype(np.float16)
            with atomic_path(path) as temporary:
                np.savez_compressed(temporary, influence=maps)
        return maps.astype(np.float64)

    @cached_property
    def timesteps(self) -> list[int]:
        """Timestep of each recorded step, from noise to image."""
        module: Any = build.method(self.run, self.folder.parent)
        scheduler = module.scheduler({})
        scheduler.set_timesteps(module.sampler.num_steps)
        return [int(t) for t in scheduler.timesteps]

    @cached_property
    def regions(self) -> dict[str, NDArray[np.bool_]]:
        """Pixels [N, h, w] of each region at the size of the maps; contours come first and are excluded from the others."""
        faces: Any = self.data.test
        labels = resize_labels(faces.original_label_maps(self._indices), self.maps.shape[-2:])
        contours = _contours(labels)
        masks = {CONTOURS: contours}
        for name, classes in REGIONS.items():
            masks[name] = np.isin(labels, [FACE_CLASSES.index(c) for c in classes]) & ~contours
        return masks

    def over_time(self) -> dict[str, NDArray[np.float64]]:
        """Return the mean influence of the mask in each region at every step, [steps]."""
        influence = self.maps[:, 0]
        return {
            name: np.array([step[mask].mean() for step in influence])
            for name, mask in self.regions.items()
            if mask.any()
        }

    @property
    def _indices(self) -> list[int]:
        return [i % len(self.data.test) for i in range(self._count)]

    @property
    def _count(self) -> int:
        return min(NUM_IMAGES, self.run.num_images)

    def _record(self) -> NDArray[np.float64]:
        module: Any = build.method(self.run, self.folder.parent).to(DEVICE)
        parts = []
        for start in range(0, self._count, BATCH):
            numbers = range(start, min(start + BATCH, self._count))
            batch = self.data.test.batch([i % len(self.data.test) for i in numbers])
            batch["index"] = batch["index"].new_tensor(list(numbers))
            parts.append(module.sample_with_influence(batch)[1].numpy())
        return np.concatenate(parts, axis=2)


def _contours(labels: NDArray) -> NDArray[np.bool_]:
    """Return the pixels with another class above, below, left or right, [N, h, w]."""
    edge = np.zeros(labels.shape, bool)
    down, right = labels[:, 1:] != labels[:, :-1], labels[:, :, 1:] != labels[:, :, :-1]
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    edge[:, :, 1:] |= right
    edge[:, :, :-1] |= right
    return edge


def _contrast(maps: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of ``maps`` [steps, N, h, w] over time and pixels ``inside`` [N, h, w], minus that over the others, [N].

    The result is 0 for an image without such pixels, or without others.
    """
    over_time, both = maps.mean(axis=0), inside.any(axis=(1, 2)) & ~inside.all(axis=(1, 2))
    means = [(over_time * where).sum(axis=(1, 2)) / where.sum(axis=(1, 2)).clip(min=1) for where in (inside, ~inside)]
    return np.where(both, means[0] - means[1], 0.0)


def influence_maps(samples: Samples) -> InfluenceMaps:
    """Return the influence of the collaborating experts on the first samples."""
    return samples.once(_influence_maps)


def _influence_maps(samples: Samples) -> InfluenceMaps:
    return InfluenceMaps(samples.folder, samples.run, samples.data)


def mask_influence(samples: Samples) -> NDArray[np.float64]:
    """Return the mean influence of the mask on each image, [N]."""
    return influence_maps(samples).maps[:, 0].mean(axis=(0, 2, 3))


def contours_contrast(samples: Samples) -> NDArray[np.float64]:
    """Return the influence of the mask on contours minus that elsewhere, [N]."""
    found = influence_maps(samples)
    return _contrast(found.maps[:, 0], found.regions[CONTOURS])


def skin_contrast(samples: Samples) -> NDArray[np.float64]:
    """Return the influence of the text (1 minus the mask's) on skin minus that elsewhere, [N]."""
    found = influence_maps(samples)
    return _contrast(1 - found.maps[:, 0], found.regions["skin"])


def early_contrast(samples: Samples) -> NDArray[np.float64]:
    """Return the influence of the mask in the first third of the steps minus that in the last, [N]."""
    influence = influence_maps(samples).maps[:, 0]  # [steps, N, h, w]
    third = max(1, len(influence) // 3)
    return influence[:third].mean(axis=(0, 2, 3)) - influence[-third:].mean(axis=(0, 2, 3))


PROTOCOLS = (
    image_mean(
        "Influence-Mask", mask_influence, better="higher", range=SHARE, description="Mean influence of the mask, 0 to 1."
    ),
    image_mean(
        "Influence-Contours", contours_contrast, better="higher", range=COSINE,
        description="Mean influence of the mask on contours (pixels next to another class), minus that elsewhere.",
    ),
    image_mean(
        "Influence-Skin", skin_contrast, better="higher", range=COSINE,
        description="Mean influence of the text on skin, nose and neck away from contours, minus that elsewhere.",
    ),
    image_mean(
        "Influence-Early", early_contrast, better="higher", range=COSINE,
        description="Mean influence of the mask in the first third of the sampling steps, minus that in the last.",
    ),
)  # fmt: skip
