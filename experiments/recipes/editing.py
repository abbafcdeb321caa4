"""Editing (Collaborative Diffusion, CVPR 2023, Sec. 4.3, supplement A.2): edits and their metrics.

The stages are in ``settings/collaborative.py``. The paper shows pictures and a user study; the metrics here are ours.
The target conditions are the mask and text of the next test image.
"""

from dataclasses import replace
from typing import Literal

from experiments.protocols.catalogue import column
from experiments.recipes.collaborative import MASK, MIOU, TEXT, collaborated, collaboration, metrics
from experiments.recipes.settings.collaborative import of
from experiments.runs import SampleRun, seeded
from experiments.spec import Metric, Profile
from lightning_mmdiff.methods.collaborative.editing import EditTogether
from lightning_mmdiff.methods.single import RealImages

IDENTITY = "Identity"
MASK_EXPERT, TEXT_EXPERT = 0, 1
"""Indices of the experts, in the order of the dynamic diffusers."""


def edit(profile: Profile, seed: int, name: str, alpha: float, *, modality: int | None = None) -> SampleRun:
    """Return the run that edits test images.

    Args:
        profile: profile of the run.
        seed: training seed.
        name: name of the run, after "edit-".
        alpha: strength of the edit.
        modality: expert that edits alone; None edits with all modalities together.
    """
    settings = of(profile)
    method = EditTogether(
        model=collaboration(profile, seed),
        name=seeded("edits", seed),
        imagic=settings.imagic,
        alpha=alpha,
        modality=modality,
    )
    run = collaborated(profile, f"edit-{name}", method)
    return replace(run, num_images=settings.num_edits, shard_size=settings.edits_shard_size)


def real(profile: Profile, name: str, of_edit: Literal["before", "target"]) -> SampleRun:
    """Return the unedited images, or the images with the target conditions, which show other people."""
    run = collaborated(profile, f"edit-{name}", RealImages(of_edit=of_edit))
    return replace(run, num_images=of(profile).num_edits)


def edit_metrics(profile: Profile) -> tuple[Metric, ...]:
    """Return the metrics that tell whether the edit follows mask and text and still shows the same person."""
    identity = column(IDENTITY, "Identity-SFace" if of(profile).published_metrics else "Identity-EffNetLite0")
    return (*metrics(profile, TEXT, MASK, MIOU), identity)
