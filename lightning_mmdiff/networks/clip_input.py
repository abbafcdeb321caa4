"""Images as CLIP and FaRL see them: resized, then normalized with CLIP's mean and standard deviation."""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of RGB in [0, 1]
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Resize = Callable[[Tensor, int], Tensor]
"""Function from images, float [B, 3, S, S], and a size to float [B, 3, size, size]."""


def bilinear(x: Tensor, size: int) -> Tensor:
    """Resize as Unite and Conquer's code: torchvision 0.14's default for tensors, which has no antialiasing."""
    return F.interpolate(x, size=(size, size), mode="bilinear", antialias=False, align_corners=False)


def bicubic(x: Tensor, size: int) -> Tensor:
    """Resize as CLIP's own code, but without rounding to 8 bits."""
    return F.interpolate(x, size=(size, size), mode="bicubic", antialias=True, align_corners=False)


def normalize(x: Tensor) -> Tensor:
    """Subtract CLIP's mean from images in [0, 1], float [B, 3, S, S], and divide by its standard deviation."""
    mean, std = (torch.tensor(c, device=x.device).view(1, 3, 1, 1) for c in (CLIP_MEAN, CLIP_STD))
    return (x - mean) / std
