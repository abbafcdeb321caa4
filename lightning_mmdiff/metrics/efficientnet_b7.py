"""EfficientNet-B7 trained by Noisy Student (Xie et al., CVPR 2020): which of ImageNet's classes an image shows.

Unite and Conquer (CVPR 2023, Table 3) cites an EfficientNet without naming its size or weights; we take timm's
``tf_efficientnet_b7.ns_jft_in1k``. Accuracy by it is "Accuracy-EffNetB7".
"""

from pathlib import Path
from typing import Any, ClassVar

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.images import check_images

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class EfficientNetB7(nn.Module):
    """Images to the logits of ImageNet's 1,000 classes."""

    architecture: ClassVar[str] = "tf_efficientnet_b7"
    """Name of the network in timm."""
    size: ClassVar[int] = 600
    """Height and width of its input in pixels; the whole picture is resized to it."""

    def __init__(self, path: Path) -> None:
        """Read the weights at ``path``.

        Raises:
            UserError: if they are those of another network.
        """
        super().__init__()
        self.network: Any = timm.create_model(self.architecture, pretrained=False)
        state, own = torch.load(path, map_location="cpu", weights_only=True), self.network.state_dict()
        if wrong := [k for k in sorted(own.keys() | state.keys()) if k not in own or k not in state]:
            raise UserError(f"{path}: does not hold {self.architecture}; {len(wrong)} names differ, first {wrong[0]}.")
        self.network.load_state_dict(state)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [B, 1000] of uint8 ``images`` [B, 3, H, W]."""
        check_images(images)
        x = images.float() / 255
        resized = interpolate(x, (self.size, self.size), mode="bicubic", antialias=True, align_corners=False)
        mean, deviation = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
        logits: Tensor = self.network((resized.clamp(0, 1) - mean) / deviation)
        return logits
