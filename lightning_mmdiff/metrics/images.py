"""Inputs of every image metric: uint8 RGB [B, 3, H, W] in [0, 255], checked once, processed in batches."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mmdiff.errors import UserError

# EffNetLite0 at 224 pixels on two cores: 57 images/s one by one, 99 at 8, 42 at 32 (the system maps and zeroes larger
# buffers anew at every layer). A GPU needs more.
CPU_BATCH = 8
GPU_BATCH = 64


def batch_size(device: str | torch.device) -> int:
    """Return how many images a network processes at once on ``device``."""
    return GPU_BATCH if str(device).startswith("cuda") else CPU_BATCH


def check_images(images: Tensor, *, smallest: int = 1) -> None:
    """Raise unless ``images`` is a uint8 [B, 3, H, W] tensor with H and W at least ``smallest`` pixels."""
    if images.dtype != torch.uint8:
        raise TypeError(
            f"Metrics take uint8 images in [0, 255], got {images.dtype}; convert with images.to_uint8 first."
        )
    if images.ndim != 4 or images.shape[1] != 3:
        raise UserError(f"Metrics take RGB images [B, 3, H, W], got shape {list(images.shape)}.")
    if min(images.shape[2:]) < smallest:
        raise UserError(
            f"This metric needs images of at least {smallest} x {smallest} pixels, "
            f"got {images.shape[2]} x {images.shape[3]}."
        )


def paired_batches(
    images: Tensor, references: Tensor, *, size: int = CPU_BATCH, smallest: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Check two sets of images and yield matching batches.

    Args:
        images: uint8 [N, 3, H, W].
        references: uint8 [N, 3, H, W].
        size: images per batch.
        smallest: least height and width in pixels.
    """
    check_images(images, smallest=smallest)
    check_images(references, smallest=smallest)
    if images.shape != references.shape:
        raise UserError(
            f"Image i is compared with reference i, but there are {list(images.shape)} images and "
            f"{list(references.shape)} references; give both the same number and size."
        )
    yield from zip(images.split(size), references.split(size))


@torch.inference_mode()
def per_image(
    distance: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    references: Tensor,
    *,
    smallest: int = 1,
    device: str = "cpu",
) -> NDArray[np.float64]:
    """Return the distance of image i to reference i, [N].

    Args:
        distance: function from two uint8 [B, 3, H, W] to [B].
        images: uint8 [N, 3, H, W].
        references: uint8 [N, 3, H, W].
        smallest: least height and width in pixels.
        device: device of the computation.
    """
    pairs = paired_batches(images, references, size=batch_size(device), smallest=smallest)
    values = [distance(x.to(device), y.to(device)).cpu() for x, y in pairs]
    return torch.cat(values).double().numpy() if values else np.zeros(0)
