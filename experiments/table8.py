"""Table 8: MT-Diffusion (Chen et al., ICLR 2024), Table 4 -- Cityscapes, photograph to labels.

python -m experiments.table8 --profile mini
"""

from datamodules.config import DataConfig
from experiments.engine.cli import main
from experiments.recipes.columns import columns
from experiments.recipes.mt_diffusion import DEVIATIONS
from experiments.recipes.mt_latents import LATENTS, translation
from experiments.recipes.mt_shared import generated_or_real, sampled
from experiments.runs import TrainRun
from experiments.spec import Claim, Profile, Row, Table

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

    def quoted(label: str, why: str, values: dict[str, float]) -> Row:
        return Row(group="Quoted", label=label, published=values, why=why)

    def row(label: str, run: TrainRun | None, data: DataConfig) -> Row:
        name = f"{run.name.split('-seed')[0]}-labels" if run else "cityscapes-real"
        sample = sampled(profile, name, generated_or_real(run), data, num_images=500)
        published = dict(zip(COLUMNS, PUBLISHED[label])) if label in PUBLISHED else None
        return Row(group="Diffusion" if run else "Ceiling", label=label, published=published, sample=sample)

    gan = "the GAN baseline is not built yet"
    return Table(
        name="table8",
        title="Cityscapes, photograph to labels",
        paper="MT-Diffusion (ICLR 2024), Table 4",
        metrics=columns(profile, *COLUMNS),
        rows=(
            *(quoted(gan_row, gan, dict(zip(COLUMNS, PUBLISHED[gan_row]))) for gan_row in ("CycleGAN", "pix2pix")),
            quoted("InternImage-H", "quoted: a segmentation model pretrained on web-scale data", {"Class IoU": 0.86}),
            row(SINGLE, single, single.data[0]),
            row(OURS, ours, ours.data[0]),
            row("real label pictures", None, ours.data[0]),
        ),
        claims=tuple(
            Claim(
                id="MT6", text="MT beats single-task diffusion", metric=c, better=OURS, worse=SINGLE, source="App. E.1"
            )
            for c in COLUMNS
        ),
        notes=NOTES,
    )


if __name__ == "__main__":
    main(table)
