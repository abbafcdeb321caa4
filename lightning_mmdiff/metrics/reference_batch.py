"""Reference batches that ADM publishes for its evaluator (Dhariwal and Nichol 2021; ``evaluations`` in guided-diffusion).

An .npz file: ``mu`` [2048], ``sigma`` [2048, 2048], mean and covariance of Inception's pooled features of the whole training
set; ``mu_s`` [2023], ``sigma_s``, the same of its spatial features; ``arr_0``, uint8 [10000, H, W, 3], some of its images, for
precision and recall.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.frechet import Gaussian

STATISTICS = {"pool": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}
IMAGES = "arr_0"


@dataclass(frozen=True)
class ReferenceBatch:
    """A file; each array is read when it is asked for."""

    path: Path

    def gaussian(self, output: str) -> Gaussian:
        """Return the Gaussian of the features "pool" or "spatial" of the whole training set."""
        mean, covariance = (self._read(name).astype(np.float64) for name in STATISTICS[output])
        if mean.ndim != 1 or covariance.shape != (mean.size, mean.size) or not np.isfinite(covariance).all():
            names = " and ".join(STATISTICS[output])
            raise UserError(
                f"{self.path}: {names} are {list(mean.shape)} and {list(covariance.shape)}; expected the finite mean [D] and "
                "covariance [D, D] of ADM's reference batch: fetch it again."
            )
        values, vectors = np.linalg.eigh(covariance)
        return Gaussian(mean=mean, root=(vectors * np.sqrt(values.clip(min=0))).T)

    def images(self) -> Tensor:
        """Return the images, uint8 [N, 3, H, W]."""
        images = self._read(IMAGES)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise UserError(
                f"{self.path}: {IMAGES} is {images.dtype} {list(images.shape)}; expected the uint8 images [N, H, W, 3] of ADM's "
                "reference batch: fetch it again."
            )
        return torch.from_numpy(images).permute(0, 3, 1, 2)

    def _read(self, name: str) -> NDArray:
        """Return one array; nothing in the file is unpickled."""
        try:
            with np.load(self.path, allow_pickle=False) as arrays:
                return arrays[name]
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{self.path}: cannot read {name} ({error}); expected ADM's reference batch with {IMAGES}, "
                f"{', '.join(n for pair in STATISTICS.values() for n in pair)}: fetch it again."
            ) from error
