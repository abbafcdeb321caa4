"""Whether a face is as each of two conditions says, and as both say at once: two maps, or a mask and a text."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.faces.classes import FACE_CLASSES, LABEL_CONDITIONS
from experiments.protocols.faces import attribute_accuracy
from experiments.protocols.protocol import SHARE, Protocol, image_mean
from experiments.protocols.samples import Samples
from experiments.protocols.segmentation import label_map, lapa_maps, parsed, small_parser_accuracy
from lightning_mmdiff.metrics.segmentation import group_labels

LAPA = {"skin": 1, "hair": 2}
"""Classes of ``lapa_maps``."""


def by_small_parser(samples: Samples, condition: str) -> NDArray[np.bool_]:
    """Return where our small parser finds what the map of ``condition`` shows, [N, H, W]."""
    groups = [[FACE_CLASSES.index(name) for name in classes] for classes in LABEL_CONDITIONS[condition]]
    return group_labels(samples.once(parsed), groups) == group_labels(label_map(samples), groups)


def by_lapa(samples: Samples, condition: str) -> NDArray[np.bool_]:
    """Return where Unite and Conquer's parser finds what the map of hair or skin shows, [N, H, W]; nowhere without a face."""
    seen, target, failed = samples.once(lapa_maps)
    right = (seen == LAPA[condition]) == (target == LAPA[condition])
    return right & ~failed[:, None, None]


def _share(
    name: str, find: Callable[[Samples, str], NDArray], conditions: Sequence[str], *, weights: tuple[str, ...] = ()
) -> Protocol:
    """Return a protocol for the share of pixels at which all ``conditions`` are followed.

    Args:
        name: name of the protocol.
        find: returns where a condition is followed, [N, H, W].
        conditions: names of the maps.
        weights: published weight files that ``find`` reads.
    """

    def score(samples: Samples) -> NDArray[np.float64]:
        found = np.logical_and.reduce([find(samples, condition) for condition in conditions])
        return found.mean(axis=(1, 2))

    parser = "Unite and Conquer's parser" if weights else "our small face parser"
    maps = " and the ".join(condition.replace("_", " ") for condition in conditions)
    both = ", both at once" if len(conditions) > 1 else ""
    description = f"Share of pixels where {parser} finds what the map of the {maps} shows{both}; mean over images."
    return image_mean(name, score, better="higher", range=SHARE, description=description, weights=weights)


def mask_and_text(samples: Samples) -> NDArray[np.float64]:
    """Return the share of pairs of a pixel and a judged attribute that are both right in each image, [N]."""
    return samples.once(attribute_accuracy) * samples.once(small_parser_accuracy)


_LAPA = ("face_detector", "face_parser")
PROTOCOLS = (
    _share("Hair-MiniParser", by_small_parser, ("hair",)),
    _share("FaceParts-MiniParser", by_small_parser, ("face_parts",)),
    _share("HairAndFaceParts-MiniParser", by_small_parser, ("hair", "face_parts")),
    _share("Hair-LaPa", by_lapa, ("hair",), weights=_LAPA),
    _share("Skin-LaPa", by_lapa, ("skin",), weights=_LAPA),
    _share("HairAndSkin-LaPa", by_lapa, ("hair", "skin"), weights=_LAPA),
    image_mean(
        "MaskAndText-MiniJudges", mask_and_text, better="higher", range=SHARE,
        description="Share of pairs of a pixel and an attribute that are both right (MaskAccuracy-MiniParser times "
        "Attributes-MiniJudge of each image), mean over images.",
    ),
)  # fmt: skip
