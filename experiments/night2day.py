"""Night to day: MT-Diffusion (Chen et al., ICLR 2024), App. E.1 -- translating photographs, FID and IS.

python -m experiments.night2day --profile mini
"""

from typing import Literal

from experiments.engine.cli import main
from experiments.recipes.baselines import picture_to_picture
from experiments.recipes.beside_fid import BESIDE_FID, COPIES, KID
from experiments.recipes.columns import columns
from experiments.recipes.mt_diffusion import DEVIATIONS
from experiments.recipes.mt_latents import LATENTS, translation
from experiments.recipes.mt_shared import sampled
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.baselines.adversarial import Generate
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.single import Denoise, RealImages

SINGLE, OURS = "single-task diffusion", "MT-Diffusion"
PUBLISHED = {SINGLE: {"FID": 40.73, "IS": 3.84}, OURS: {"FID": 37.93, "IS": 3.94}, "real images": {"IS": 3.65}}


def table(profile: Profile, seed: int) -> Table:
    """Return the table: the paper's two numbers, and how close the generated day is to the true one."""
    single, ours = (translation(profile, seed, "night2day", multi_task=multi) for multi in (False, True))

    def row(label: str, method: MethodConfig, group: str = "") -> Row:
        name = f"{method.needs[0].name.split('-seed')[0]}-days" if method.needs else "night2day-real"
        sample = sampled(profile, name, method, ours.data[0], num_images=2300)
        return Row(group=group, label=label, published=PUBLISHED.get(label), sample=sample)

    def gan(label: Literal["pix2pix", "CycleGAN"]) -> Row:
        method = Generate(model=picture_to_picture(profile, seed, label, ours.data[0]))
        return row(label, method, "Adversarial (not in the paper)")

    return Table(
        name="night2day",
        title="Night to day",
        paper="MT-Diffusion (ICLR 2024), App. E.1",
        metrics=columns(profile, "FID", "IS", "LPIPS", "SSIM", *BESIDE_FID, COPIES, objects=False),
        rows=(
            row(SINGLE, Denoise(model=single)),
            row(OURS, Denoise(model=ours)),
            gan("CycleGAN"),
            gan("pix2pix"),
            row("real images", RealImages(), "Ceiling"),
        ),
        claims=tuple(
            Claim(
                id=name,
                text="MT-Diffusion beats single-task diffusion",
                metric=metric,
                better=OURS,
                worse=SINGLE,
                source=source,
            )
            for name, metric, source in (
                ("MT7", "FID", "App. E.1"),
                ("MT7", KID, "App. E.1"),
                ("MT7", "IS", "App. E.1"),
                ("ours", "LPIPS", ""),
            )
        ),
        notes=(
            "The published setting diffuses latents of a pretrained autoencoder, mini pixels. Both networks read the night "
            "photograph.",
            "An inception score of street scenes, whose classes ImageNet hardly knows, says little; the paper prints it.",
            DEVIATIONS[0],
            *LATENTS,
        ),
    )


if __name__ == "__main__":
    main(table)
