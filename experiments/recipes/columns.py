"""Columns of MT-Diffusion's tables: the paper's name of each metric, and the protocol that a profile can measure."""

from experiments.protocols.catalogue import column
from experiments.recipes.beside_fid import COPIES, COVERAGE, enough_images, explained, protocols
from experiments.recipes.mt_diffusion import noisy_classifier
from experiments.recipes.settings.mt_diffusion import of
from experiments.runs import TrainRun
from experiments.spec import Metric, Profile

PUBLISHED = {
    "Precision": "Precision", "Recall": "Recall", "IS": "IS-ADM", "FID": "FID-ADM", "sFID": "sFID-ADM", "LPIPS": "LPIPS",
    "Cosine": "EmbeddingCosine-CLIP-H", "Retrieval": "EmbeddingRetrieval-CLIP-H",
    "Pixel acc.": "PixelAccuracy-Palette", "Class acc.": "ClassAccuracy-Palette", "Class IoU": "ClassIoU-Palette",
    **protocols("FID-ADM", kernel="KID", copies="Copies-Inception"),
}  # fmt: skip
STAND_INS = {
    "Precision": "Precision-EffNetLite0", "Recall": "Recall-EffNetLite0", "IS": "IS-ObjectClassifier",
    "FID": "FD-EffNetLite0", "sFID": "sFD-EffNetLite0", "LPIPS": "PD-EffNetLite0",
    "Class acc.": "ClassAccuracy-Palette-Present", "Class IoU": "ClassIoU-Palette-Present",
    "Pixel acc.": "PixelAccuracy-Palette-Present",
    "Cosine": "EmbeddingCosine-MiniCLIP", "Retrieval": "EmbeddingRetrieval-MiniCLIP", COVERAGE: "Coverage-EffNetLite0",
    **protocols("FD-EffNetLite0", kernel="KID-EffNetLite0", copies="Copies-EffNetLite0"),
}  # fmt: skip


SETTINGS = "number of steps and guidance scale are not stated (250 and .5 here)"
EXPLANATIONS = {
    "IS": (SETTINGS, "chunks of 5,000, no bias (PITFALLS 71)"),
    "FID": (SETTINGS, "another reference than ADM's own batch makes numbers incomparable", "order of the classes (75)"),
    "sFID": (SETTINGS, "the floor depends on the number of images (PITFALLS 72)"),
    **dict.fromkeys(("Precision", "Recall"), (SETTINGS, "ADM squares distances in 16 bits, here in 32 (PITFALLS 73)")),
}
"""Column -> what in the protocol could explain a difference of a published checkpoint from the paper's number."""


def columns(profile: Profile, *names: str, objects: bool = True) -> tuple[Metric, ...]:
    """Return the columns ``names``, under the protocols of ``profile``; a name that no paper has is its own protocol.

    Without ``objects``, the only images our small classifier knows, IS below paper uses the classes of EfficientNet-Lite0.
    """
    settings = of(profile)
    stand_ins = STAND_INS if objects else STAND_INS | {"IS": "IS-EffNetLite0"}
    named = PUBLISHED if settings.published_metrics else stand_ins
    found = [column(name, named.get(name)) for name in names]
    return enough_images(explained(found, EXPLANATIONS) if settings.released else found, settings.samples)


def copies_of_objects(profile: Profile) -> tuple[str, ...]:
    """Return the column that looks for copies of training images, where the objects are few enough to be learned by heart."""
    return (COPIES,) if of(profile).few_objects else ()


def object_evaluator(profile: Profile) -> tuple[TrainRun, ...]:
    """Return the classifier of clean objects that evaluates samples below paper."""
    return () if of(profile).published_metrics else (noisy_classifier(profile, 0, noised=False),)
