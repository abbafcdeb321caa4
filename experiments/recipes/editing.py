"""Editing (Collaborative Diffusion, CVPR 2023, Sec. 4.3, supplement A.2): the released stages, and what is shorter at mini.

The paper shows pictures and a user study; what is measured here is ours. Wanted are mask and text of the next test image.
"""

from dataclasses import replace
from typing import Literal

from experiments.recipes.collaborative import MASK, MIOU, TEXT, collaborated, diffusers, metrics
from experiments.recipes.faces import DESCRIPTIONS
from experiments.spec import Metric, Profile, SampleRun, seeded
from lightning_mmdiff.methods.collaborative.editing import EditTogether
from lightning_mmdiff.methods.collaborative.imagic import ImagicConfig
from lightning_mmdiff.methods.single import RealImages
from lightning_mmdiff.optimization import OptimizerConfig

IDENTITY = "Identity"
NUM_IMAGES = {"paper": 100, "mini": 16, "smoke": 2}
MASK_EXPERT, TEXT_EXPERT = 0, 1
"""Numbers of the experts, in the order of the dynamic diffusers."""


def imagic(profile: Profile) -> ImagicConfig:
    """Both stages of the released code: 500 steps on the condition, 1000 on the network, one noise a step."""
    published = ImagicConfig()
    match profile:
        case "paper":
            return published
        case "mini":
            return replace(
                published, condition_steps=60, condition_optimizer=OptimizerConfig(lr=2e-2), network_steps=60,
                network_optimizer=OptimizerConfig(lr=1e-3), batch_size=16, min_snr=5.0, checkpoint_every=60,
            )  # fmt: skip
        case "smoke":
            return replace(published, condition_steps=2, network_steps=2, checkpoint_every=1)


def edit(profile: Profile, seed: int, name: str, alpha: float, *, modality: int | None = None) -> SampleRun:
    """Test images, edited by all modalities together or by one alone."""
    method = EditTogether(
        model=diffusers(profile, seed),
        name=seeded("edits", seed),
        imagic=imagic(profile),
        alpha=alpha,
        modality=modality,
    )
    run = collaborated(profile, f"edit-{name}", method)
    return replace(run, num_images=NUM_IMAGES[profile], shard_size=2 if profile == "smoke" else 4)


def real(profile: Profile, name: str, of_edit: Literal["before", "target"]) -> SampleRun:
    """No edit at all, or the image that has the target conditions, another person."""
    run = collaborated(profile, f"edit-{name}", RealImages(of_edit=of_edit))
    return replace(run, num_images=NUM_IMAGES[profile])


def edit_metrics(profile: Profile) -> tuple[Metric, ...]:
    """Does the edit follow mask and text, and is it still the same person?"""
    protocol = "Identity-SFace" if profile == "paper" else "Identity-EffNetLite0"
    identity = Metric(column=IDENTITY, protocol=protocol, better="higher", description=DESCRIPTIONS[protocol])
    return (*metrics(profile, TEXT, MASK, MIOU), identity)
