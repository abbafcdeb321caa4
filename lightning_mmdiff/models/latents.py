"""Cached latents: the posterior of every training image, computed once so that training never runs the encoder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_mmdiff import images
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.networks.vae import VAE
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.stored import stored_array


@torch.no_grad()
def write_moments(vae: VAE, batches: Iterable[Mapping[str, Any]], num_images: int, path: Path) -> None:
    """Write the moments of images 0 ... num_images - 1 to one float32 array [N, 2C, h, w] (``.npy``), unless the file is whole.

    Args:
        vae: trained and frozen.
        batches: "index" int64 [B] and "image" uint8 [B, 3, S, S]; together they contain every image, without mirroring.
        num_images: N.
        path: output file, written under a temporary name and then renamed.

    Raises:
        UserError: if an image is missing; names the first ones.
    """
    if stored_array(path) is not None:
        return
    channels, *size = vae.config.latent_shape
    device, seen = vae.scale.device, np.zeros(num_images, bool)
    with atomic_path(path) as temporary:
        shape = (num_images, 2 * channels, *size)
        table = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        for batch in batches:
            moments = vae.moments(images.to_float(batch["image"].to(device)))
            table[batch["index"].numpy()] = moments.float().cpu().numpy()
            seen[batch["index"].numpy()] = True
        if not seen.all():
            missing = np.flatnonzero(~seen)
            raise UserError(
                f"Latents of {len(missing)} of {num_images} images are missing (first: {missing[:3].tolist()})."
            )
        table.flush()


class Moments:
    """The table written by ``write_moments``, read from disk row by row."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        """Open the table; ``shape`` is [C, h, w] of the current autoencoder's latents.

        Raises:
            MissingFileError: if ``path`` does not exist, or is damaged.
            UserError: if it holds latents of another shape.
        """
        table = stored_array(path)
        if table is None:
            raise MissingFileError(
                f"{path} is missing: write the latents of the training images first (write_moments)."
            )
        self.path, self.shape, self.table = path, shape, table
        expected = (2 * shape[0], *shape[1:])
        if self.table.shape[1:] != expected:
            raise UserError(
                f"{path} holds moments of shape {list(self.table.shape[1:])}, this autoencoder has {list(expected)}; "
                "delete the file and write it again."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the path: a worker process maps the file again instead of receiving a copy."""
        return Moments, (self.path, self.shape)

    def __call__(self, index: Tensor) -> Tensor:
        """Return the moments, float32 [B, 2C, h, w], of the images ``index``, int64 [B]."""
        return torch.from_numpy(self.table[index.cpu().numpy()])
