"""Mask accuracy of Collaborative Diffusion (Sec. 4.1): per-pixel accuracy of the parsed sample, mean over images.

"MaskAccuracy": the sample is parsed into 19 classes by the network published with CelebAMask-HQ (``celebamask_parser``) and
compared at 512 pixels with the label map used as the condition. The paper does not state the size; a map reduced to
32 x 32 agrees with its own 512-pixel original on only 94 % of pixels. "MaskAccuracy-MiniParser": our small parser.
"""

import numpy as np
from numpy.typing import NDArray

from lightning_mmdiff.metrics.segmentation import image_scores, resize_labels

NUM_CLASSES = 19


def mask_accuracy(
    prediction: NDArray, target: NDArray, num_classes: int = NUM_CLASSES, *, size: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Return the share of each image's pixels whose parsed class agrees with the mask, [N] in [0, 1].

    Args:
        prediction: class of each pixel of the parsed sample, [N, h, w].
        target: class of each pixel of the mask, 255 for pixels not evaluated, [N, H, W].
        num_classes: K; classes are 0..K-1.
        size: height and width at which both are compared (nearest); default: the target's.
    """
    size = size or target.shape[1:]
    return image_scores(resize_labels(prediction, size), resize_labels(target, size), num_classes).accuracy
