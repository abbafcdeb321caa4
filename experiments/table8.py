"""Table 8: MT-Diffusion (Chen et al., ICLR 2024), Table 4 -- Cityscapes, photograph to labels.

python -m experiments.table8 --profile mini
"""

from typing import Literal

from experiments.engine.cli import main
from experiments.recipes.baselines import picture_to_picture
from experiments.recipes.columns import columns
from experiments.recipes.mt_diffusion import DEVIATIONS
from experiments.recipes.mt_latents import LATENTS, translation
from experiments.recipes.mt_shared import sampled
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.baselines.adversarial import Generate
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.single import Denoise, RealImages

COLUMNS = ("Pixel acc.", "Class acc.", "Class IoU")
SINGLE, OURS = "Single-task diffusion", "MT-Diffusion"
PUBLISHED = {
    "CycleGAN": (0.58, 0.22, 0.16),
    "pix2pix": (0.85, 0.40, 0.32),
    SINGLE: (0.72, 0.54, 0.32),
    OURS: (0.95, 0.85, 0.70),
}
NOTES = (
    "Single-task diffusion reads the photograph, concatenated to its input, and generates the label picture; the paper does "
    "not say how its own reads it. MT-Diffusion reads it too, has it in z_t, and gives it back.",
    "mini diffuses pixels, the published setting latents; its single task is the same network, without aggregation, lambda 0.",
    DEVIATIONS[0],
    *LATENTS,
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: the paper's rows and real label pictures."""
    single, ours = (translation(profile, seed, "cityscapes", multi_task=multi) for multi in (False, True))

    def row(group: str, label: str, method: MethodConfig) -> Row:
        name = f"{method.needs[0].name.split('-seed')[0]}-labels" if method.needs else "cityscapes-real"
        sample = sampled(profile, name, method, ours.data[0], num_images=500)
        published = dict(zip(COLUMNS, PUBLISHED[label])) if label in PUBLISHED else None
        return Row(group=group, label=label, published=published, sample=sample)

    def gan(label: Literal["pix2pix", "CycleGAN"]) -> Row:
        return row("Adversarial", label, Generate(model=picture_to_picture(profile, seed, label, ours.data[0])))

    return Table(
        name="table8",
        title="Cityscapes, photograph to labels",
        paper="MT-Diffusion (ICLR 2024), Table 4",
        metrics=columns(profile, *COLUMNS),
        rows=(
            gan("CycleGAN"),
            gan("pix2pix"),
            Row(
                group="Quoted",
                label="InternImage-H",
                published={"Class IoU": 0.86},
                why="quoted: a segmentation model pretrained on web-scale data",
            ),
            row("Diffusion", SINGLE, Denoise(model=single)),
            row("Diffusion", OURS, Denoise(model=ours)),
            row("Ceiling", "real label pictures", RealImages()),
        ),  # fmt: skip
        claims=tuple(
            Claim(id="MT6", text=f"MT beats {text}", metric=c, better=OURS, worse=row, source="App. E.1")
            for text, row in (("single-task diffusion", SINGLE), ("pix2pix", "pix2pix"), ("CycleGAN", "CycleGAN"))
            for c in COLUMNS
        ),
        notes=NOTES,
    )


if __name__ == "__main__":
    main(table)
