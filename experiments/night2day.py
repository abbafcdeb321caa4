"""Night to day: MT-Diffusion (Chen et al., ICLR 2024), App. E.1 -- translating photographs, FID and IS.

python -m experiments.night2day --profile mini
"""

from datamodules.config import DataConfig
from experiments.engine.cli import main
from experiments.recipes.beside_fid import BESIDE_FID, COPIES, KID
from experiments.recipes.columns import columns
from experiments.recipes.mt_diffusion import DEVIATIONS
from experiments.recipes.mt_latents import LATENTS, translation
from experiments.recipes.mt_shared import generated_or_real, sampled
from experiments.runs import TrainRun
from experiments.spec import Claim, Profile, Row, Table

SINGLE, OURS = "single-task diffusion", "MT-Diffusion"
PUBLISHED = {SINGLE: {"FID": 40.73, "IS": 3.84}, OURS: {"FID": 37.93, "IS": 3.94}, "real images": {"IS": 3.65}}


def table(profile: Profile, seed: int) -> Table:
    """Return the table: the paper's two numbers, and how close the generated day is to the true one."""
    single, ours = (translation(profile, seed, "night2day", multi_task=multi) for multi in (False, True))

    def row(label: str, run: TrainRun | None, data: DataConfig) -> Row:
        name = f"{run.name.split('-seed')[0]}-days" if run else "night2day-real"
        sample = sampled(profile, name, generated_or_real(run), data, num_images=2300)
        return Row(
            group="" if run else "Ceiling", label=label, published=PUBLISHED.get(label), sample=sample
        )  # fmt: skip

    return Table(
        name="night2day",
        title="Night to day",
        paper="MT-Diffusion (ICLR 2024), App. E.1",
        metrics=columns(profile, "FID", "IS", "LPIPS", "SSIM", *BESIDE_FID, COPIES, objects=False),
        rows=(
            row(SINGLE, single, single.data[0]),
            row(OURS, ours, ours.data[0]),
            row("real images", None, ours.data[0]),
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
