"""Editing (Collaborative Diffusion, CVPR 2023, Sec. 4.3, supplement A.2): what is edited, and what is measured.

The stages are in ``settings/collaborative.py``. The paper shows pictures and a user study; what is measured here is ours.
Wanted are mask and text of the next test image.
"""

from dataclasses import replace
from typing import Literal

from experiments.protocols.catalogue import column
from experiments.recipes.collaborative import MASK, MIOU, TEXT, collaborated, diffusers, metrics
from experiments.recipes.settings.collaborative import of
from experiments.runs import SampleRun, seeded
from experiments.spec import Metric, Profile
from lightning_mmdiff.methods.collaborative.editing import EditTogether
from lightning_mmdiff.methods.single import RealImages

IDENTITY = "Identity"
MASK_EXPERT, TEXT_EXPERT = 0, 1
"""Numbers of the experts, in the order of the dynamic diffusers."""


def edit(profile: Profile, seed: int, name: str, alpha: float, *, modality: int | None = None) -> SampleRun:
    """Test images, edited by all modalities together or by one alone."""
    settings = of(profile)
    method = EditTogether(
        model=diffusers(profile, seed),
        name=seeded("edits", seed),
        imagic=settings.imagic,
        alpha=alpha,
        modality=modality,
    )
    run = collaborated(profile, f"edit-{name}", method)
    return replace(run, num_images=settings.num_edits, shard_size=settings.edits_shard_size)


def real(profile: Profile, name: str, of_edit: Literal["before", "target"]) -> SampleRun:
    """No edit at all, or the image that has the target conditions, another person."""
    run = collaborated(profile, f"edit-{name}", RealImages(of_edit=of_edit))
    return replace(run, num_images=of(profile).num_edits)


def edit_metrics(profile: Profile) -> tuple[Metric, ...]:
    """Does the edit follow mask and text, and is it still the same person?"""
    identity = column(IDENTITY, "Identity-SFace" if of(profile).published_metrics else "Identity-EffNetLite0")
    return (*metrics(profile, TEXT, MASK, MIOU), identity)
