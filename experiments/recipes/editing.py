"""Editing (Collaborative Diffusion, CVPR 2023, Sec. 4.3, supplement A.2): the released stages, and what is shorter at mini.

The paper shows pictures and a user study; what is measured here is ours. Wanted are mask and text of the next test image.
"""

from dataclasses import replace

from experiments.protocols.catalogue import column
from experiments.recipes.collaborative import MASK, MIOU, TEXT, collaborated, diffusers, metrics
from experiments.spec import EditConfig, ExpertUse, Metric, Profile, SampleRun, seeded
from lightning_mmdiff.methods.collaborative.imagic import ImagicConfig
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
    use = ExpertUse(run=diffusers(profile, seed), conditions=())
    config = EditConfig(name=seeded("edits", seed), imagic=imagic(profile), alpha=alpha, modality=modality)
    run = replace(collaborated(profile, f"edit-{name}", use, method="edit"), edit=config)
    return replace(run, num_images=NUM_IMAGES[profile], shard_size=2 if profile == "smoke" else 4)


def real(profile: Profile, name: str, alpha: float) -> SampleRun:
    """No edit at all (alpha 0), or the image that has the wanted conditions, another person (alpha 1)."""
    config = EditConfig(name="edits", imagic=imagic(profile), alpha=alpha)
    run = replace(collaborated(profile, f"edit-{name}", method="real"), edit=config)
    return replace(run, num_images=NUM_IMAGES[profile])


def edit_metrics(profile: Profile) -> tuple[Metric, ...]:
    """Does the edit follow mask and text, and is it still the same person?"""
    identity = column(IDENTITY, "Identity-SFace" if profile == "paper" else "Identity-EffNetLite0")
    return (*metrics(profile, TEXT, MASK, MIOU), identity)
