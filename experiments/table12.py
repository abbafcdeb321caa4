"""Table 12: Collaborative Diffusion (Huang et al., CVPR 2023), Table A4 -- sizes of the experts and of their dynamic diffusers.

python -m experiments.table12 --profile paper
"""

from experiments.engine.cli import main
from experiments.protocols.catalogue import column
from experiments.recipes.collaborative import condition_names, counted, diffusers, mask_expert, words_expert
from experiments.runs import TrainRun
from experiments.spec import Claim, Profile, Row, Table

UNET, TRAINED = "Parameters (M)", "Trained with it (M)"
MASK, TEXT = "Mask-driven diffusion model", "Text-driven diffusion model"
MASK_DIFFUSER, TEXT_DIFFUSER = "Dynamic diffuser, mask branch", "Dynamic diffuser, text branch"
PUBLISHED = {MASK: 403.6, TEXT: 403.6, MASK_DIFFUSER: 13.1, TEXT_DIFFUSER: 13.1}
NOTES = (
    "The paper counts the U-Nets alone. The text transformer is trained from scratch with its U-Net and is not in 403.6M; the "
    "frozen autoencoder (55.3M) is in neither column.",
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: the paper's four rows."""
    runs: dict[str, tuple[str, TrainRun, str]] = {
        MASK: ("mask-model", mask_expert(profile, seed), "mask"),
        TEXT: ("text-model", words_expert(profile, seed), "text"),
        MASK_DIFFUSER: ("diffuser-mask", diffusers(profile, seed), "mask"),
        TEXT_DIFFUSER: ("diffuser-text", diffusers(profile, seed), "text"),
    }
    pairs = ((MASK_DIFFUSER, MASK, "mask"), (TEXT_DIFFUSER, TEXT, "text"))
    return Table(
        name="table12",
        title="Sizes of experts and dynamic diffusers",
        paper="Collaborative Diffusion (CVPR 2023), Table A4",
        metrics=(column(UNET), column(TRAINED)),
        rows=tuple(
            Row(
                label=label,
                published={UNET: PUBLISHED[label]},
                sample=counted(profile, name, run, condition_names(profile, modality)),
            )
            for label, (name, run, modality) in runs.items()
        ),
        claims=tuple(
            Claim(
                id="CD5",
                text=f"a dynamic diffuser is smaller ({of})",
                metric=UNET,
                better=small,
                worse=large,
                source="Table A4",
            )
            for small, large, of in pairs
        ),
        notes=NOTES,
    )


if __name__ == "__main__":
    main(table)
