"""Agreement of samples with the label maps that were their conditions, by a parser or the nearest color of a palette."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.cityscapes import PALETTE
from datamodules.faces.classes import FACE_CLASSES
from experiments.protocols.protocol import SHARE, Protocol, comparable, image_mean, one_of
from experiments.protocols.samples import DEVICE, Samples
from lightning_mmdiff.metrics import palette, segmentation
from lightning_mmdiff.metrics.celebamask_parser import load_celebamask_parser
from lightning_mmdiff.metrics.lapa_parser import load_lapa_parser
from lightning_mmdiff.metrics.mask_accuracy import mask_accuracy
from lightning_mmdiff.metrics.results import MetricResult, mean_result

GROUPS = {
    "hair": ("hair",),
    "skin": ("skin",),
    "nose": ("nose",),
    "eyes": ("l_eye", "r_eye"),
    "brows": ("l_brow", "r_brow"),
    "mouth": ("mouth", "u_lip", "l_lip"),
}
"""Parts on which masks of 32-pixel faces are judged; smaller parts are one or two pixels wide."""
DRAWN_BY_HAND = "target: CelebAMask-HQ's masks, drawn by hand; the paper's are the same parser's maps of the real image"
"""What makes mIoU and F1 by the LaPa parser another number than Unite and Conquer's (PITFALLS.md, 55)."""


def label_map(samples: Samples) -> NDArray[np.uint8]:
    """Return the label maps that gave the conditions, [N, H, W]."""
    return samples.test["label_map"].numpy()


def parsed(samples: Samples) -> NDArray[np.uint8]:
    """Return our small face parser's label maps of the samples, [N, H, W]."""
    return samples.parsed(samples.images)


def small_parser_scores(samples: Samples) -> segmentation.Scores:
    """Return IoU and F1 of each image by our small face parser."""
    groups = [[FACE_CLASSES.index(c) for c in classes] for classes in GROUPS.values()]
    return segmentation.image_scores(samples.once(parsed), label_map(samples), len(FACE_CLASSES), groups=groups)


def small_parser_accuracy(samples: Samples) -> NDArray[np.float64]:
    """Return the share of correct pixels of each image by our small face parser, [N]."""
    return mask_accuracy(samples.once(parsed), label_map(samples))


def published_accuracy(samples: Samples) -> NDArray[np.float64]:
    """Return the share of correct pixels of each image at 512 pixels by the parser of CelebAMask-HQ, [N]."""
    parser, scores = load_celebamask_parser().to(DEVICE), []
    for numbers in torch.arange(len(samples.images)).split(16):
        seen = parser.parse(samples.images[numbers].to(DEVICE)).cpu().numpy()
        scores.append(mask_accuracy(seen, samples.original_label_maps(numbers.tolist()), size=(512, 512)))
    return np.concatenate(scores)


def lapa_maps(samples: Samples) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Return maps of background, skin (1) and hair (2): by Unite and Conquer's parser and as asked for, [N, H, W] each.

    Last, whether no face was found, [N].
    """
    parser = load_lapa_parser(torch.device(DEVICE))
    faces = [parser.parse(batch) for batch in samples.images.split(16)]
    labels = label_map(samples)
    target = np.zeros(labels.shape, np.uint8)
    for number, name in enumerate(("skin", "hair"), 1):
        target[labels == FACE_CLASSES.index(name)] = number
    failed = torch.cat([face.num_faces for face in faces]).numpy() == 0
    return torch.cat([face.label_map for face in faces]).numpy(), target, failed


def lapa_scores(samples: Samples) -> segmentation.Scores:
    """Return scores of background, skin and hair by Unite and Conquer's parser; an image without a face scores 0."""
    seen, target, failed = samples.once(lapa_maps)
    return segmentation.image_scores(seen, target, 3, failed=failed)


def by_lapa(name: str, score: Callable[[segmentation.Scores], NDArray], description: str) -> Protocol:
    """Return a protocol for the mean of one of ``lapa_scores``; images without a face are counted."""

    def measure(samples: Samples) -> MetricResult:
        scores = samples.once(lapa_scores)
        return mean_result(name, score(scores), better="higher", images_without_face=scores.num_failed)

    weights = ("face_detector", "face_parser")
    return Protocol(
        name=name, better="higher", description=description, measure=measure, weights=weights, range=SHARE,
        basis=DRAWN_BY_HAND
    )  # fmt: skip


def palette_counts(samples: Samples) -> NDArray[np.int64]:
    """Return confusion matrices of the Cityscapes classes with the nearest colors, [N, K, K]."""
    return palette.palette_confusion(samples.images, label_map(samples), PALETTE)


def by_palette(protocols: Mapping[str, str], *, only_present: bool) -> Iterator[Protocol]:
    """Yield pixel accuracy, class accuracy and class IoU from their names and descriptions; see ``palette_scores``."""

    def scores(samples: Samples) -> list[MetricResult]:
        counts = samples.once(palette_counts)
        return palette.palette_results(tuple(protocols), counts, only_present=only_present)

    for i, (name, description) in enumerate(protocols.items()):
        yield Protocol(name=name, better="higher", description=description, measure=one_of(scores, i), range=SHARE)


PROTOCOLS = (
    image_mean(
        "mIoU-MiniParser", lambda samples: samples.once(small_parser_scores).miou, better="higher", range=SHARE,
        description="Our small face parser; IoU of hair, skin, nose, eyes, brows, mouth against the label map that gave the "
        "conditions; mean over classes present, then over images.",
    ),
    image_mean(
        "F1-MiniParser", lambda samples: samples.once(small_parser_scores).f1, better="higher", range=SHARE,
        description="As mIoU-MiniParser, with the Dice coefficient.",
    ),
    image_mean(
        "MaskAccuracy-MiniParser", lambda samples: samples.once(small_parser_accuracy), better="higher", range=SHARE,
        description="Share of pixels that our small parser finds as in the mask, 19 classes, mean over images.",
    ),
    comparable(
        image_mean(
            "MaskAccuracy", published_accuracy, better="higher", range=SHARE, weights=("celebamask_parser",),
            description="Share of pixels that CelebAMask-HQ's parser finds as in the mask, 19 classes, 512 px, mean over images.",
        ),
        "by the parser that the paper names",
    ),
    by_lapa(
        "mIoU-LaPa", lambda scores: scores.miou,
        "FaRL parser (LaPa), classes background, skin, hair: mean over classes present, then over images.",
    ),
    by_lapa(
        "F1-LaPa", lambda scores: scores.f1,
        "FaRL parser (LaPa), classes background, skin, hair: mean Dice over classes present, then over images.",
    ),
    *(
        comparable(protocol, "taken at the size of the samples: the paper gives no resolution, nor how it finds a class")
        for protocol in by_palette(
            {
                "PixelAccuracy-Palette": "Share of pixels whose nearest palette color is the class of the target; void ignored.",
                "ClassAccuracy-Palette": "Mean over 19 classes of the share of their pixels that are right.",
                "ClassIoU-Palette": "Mean over 19 classes of intersection over union, summed over all images.",
            },
            only_present=False,
        )
    ),
    *by_palette(
        {
            "PixelAccuracy-Palette-Present": "As PixelAccuracy-Palette; absent classes do not change it.",
            "ClassAccuracy-Palette-Present": "Mean over the classes that occur of the share of their pixels that are right.",
            "ClassIoU-Palette-Present": "Mean over the classes that occur of intersection over union, summed over all images.",
        },
        only_present=True,
    ),
)  # fmt: skip
