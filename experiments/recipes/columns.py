"""Columns of MT-Diffusion's tables: the paper's name of each metric, and the protocol that a profile can measure."""

from experiments.recipes.faces import DESCRIPTIONS as FACES
from experiments.recipes.mt_diffusion import noisy_classifier
from experiments.recipes.settings.mt_diffusion import of
from experiments.spec import Metric, Profile, TrainRun

PUBLISHED = {
    "Precision": "Precision", "Recall": "Recall", "IS": "IS-ADM", "FID": "FID-ADM", "sFID": "sFID-ADM", "LPIPS": "LPIPS",
    "Cosine": "EmbeddingCosine-CLIP-H", "Retrieval": "EmbeddingRetrieval-CLIP-H",
    "Pixel acc.": "PixelAccuracy-Palette", "Class acc.": "ClassAccuracy-Palette", "Class IoU": "ClassIoU-Palette",
}  # fmt: skip
STAND_INS = {
    "Precision": "Precision-EffNetLite0", "Recall": "Recall-EffNetLite0", "IS": "IS-ObjectClassifier",
    "FID": "FD-EffNetLite0", "sFID": "sFD-EffNetLite0", "LPIPS": "PD-EffNetLite0",
    "Class acc.": "ClassAccuracy-Palette-Present", "Class IoU": "ClassIoU-Palette-Present",
    "Pixel acc.": "PixelAccuracy-Palette-Present",
    "Cosine": "EmbeddingCosine-MiniCLIP", "Retrieval": "EmbeddingRetrieval-MiniCLIP",
}  # fmt: skip
LOWER = ("FID", "sFID", "LPIPS", "MAE-Visible")
DESCRIPTIONS = {
    "SSIM": FACES["SSIM"],
    "IS-ADM": "Inception score, Inception-v3 of 2015-12-05 without the bias of its logits, chunks of 5000 images.",
    "IS-ObjectClassifier": "Inception score on the ten classes of a small classifier of our own, at most 10. Not an IS.",
    "IS-EffNetLite0": "Inception score on the 1000 classes of EfficientNet-Lite0. Not an IS.",
    "FID-ADM": "Frechet distance on Inception-v3 as ADM's evaluator resizes, to the real test images.",
    "FD-EffNetLite0": FACES["FD-EffNetLite0"],
    "sFID-ADM": "Frechet distance on 7 channels of Inception's 17 x 17 map, to the real test images.",
    "sFD-EffNetLite0": "Frechet distance on 7 channels of a 14 x 14 map of EfficientNet-Lite0. Not an sFID.",
    "Precision": "Share of samples inside the 3-nearest-neighbour balls of real test images, Inception features.",
    "Recall": "Share of real test images inside the balls of the samples, Inception features.",
    "Precision-EffNetLite0": "As Precision, on EfficientNet-Lite0 features.",
    "Recall-EffNetLite0": "As Recall, on EfficientNet-Lite0 features.",
    "LPIPS": "LPIPS (AlexNet, v0.1) between the restored and the original image, mean.",
    "PD-EffNetLite0": "Perceptual distance on EfficientNet-Lite0 stages (112 px) to the original image, mean. Not LPIPS.",
    "PSNR-Hidden": "Peak signal-to-noise ratio of the hidden pixels in dB, mean over images that have any.",
    "MAE-Visible": "Mean absolute change of the visible pixels, in grey levels of 255.",
    "PixelAccuracy-Palette": "Share of pixels whose nearest palette colour is the class of the target; void ignored.",
    "ClassAccuracy-Palette": "Mean over 19 classes of the share of their pixels that are right.",
    "ClassIoU-Palette": "Mean over 19 classes of intersection over union, summed over all images.",
    "PixelAccuracy-Palette-Present": "Share of pixels whose nearest palette colour is the class of the target; void ignored.",
    "ClassAccuracy-Palette-Present": "Mean over the classes that occur of the share of their pixels that are right.",
    "ClassIoU-Palette-Present": "Mean over the classes that occur of intersection over union, summed over all images.",
    "Top1": "Share of test images whose most likely class is theirs.",
    "Top5": "Share of test images with their class among the five most likely.",
    "EmbeddingCosine-CLIP-H": "Cosine of the predicted and the true CLIP ViT-H/14 embedding of test images, mean.",
    "EmbeddingRetrieval-CLIP-H": "Share of test images whose predicted embedding is nearer to theirs than to any other's.",
    "EmbeddingCosine-MiniCLIP": "As EmbeddingCosine-CLIP-H, with our small image-text model.",
    "EmbeddingRetrieval-MiniCLIP": "As EmbeddingRetrieval-CLIP-H, with our small image-text model.",
    "Label-ObjectClassifier": "Share of samples that a separate small classifier gives the class they were made for.",
}


def columns(profile: Profile, *names: str, objects: bool = True) -> tuple[Metric, ...]:
    """Columns ``names``, under the protocols of ``profile``; a name that is no column of a paper is its own protocol.

    Without ``objects``, which a small classifier of our own knows, IS has the classes of EfficientNet-Lite0 below paper.
    """
    protocols = (
        PUBLISHED if of(profile).published_metrics else STAND_INS if objects else STAND_INS | {"IS": "IS-EffNetLite0"}
    )
    return tuple(
        Metric(
            column=name,
            protocol=(protocol := protocols.get(name, name)),
            better="lower" if name in LOWER else "higher",
            description=DESCRIPTIONS[protocol],
        )
        for name in names
    )


def object_evaluator(profile: Profile) -> tuple[TrainRun, ...]:
    """Classifier of clean objects, which evaluators samples below paper."""
    return () if of(profile).published_metrics else (noisy_classifier(profile, 0, noised=False),)
