"""Table 6: MT-Diffusion (Chen et al., ICLR 2024), Table 2 -- generation after equal training, ImageNet-64.

python -m experiments.table6 --profile mini
"""

from datamodules.config import DataConfig
from experiments.engine.cli import main
from experiments.recipes.beside_fid import BESIDE_FID, COVERAGE, KID, also_on_kid
from experiments.recipes.columns import columns, copies_of_objects, object_evaluator
from experiments.recipes.mt_diffusion import DEVIATIONS, IN_TURN, adm, image_label, masked_image, tuned
from experiments.recipes.mt_shared import generated_or_real, images, sampled
from experiments.runs import TrainRun
from experiments.spec import Claim, Profile, Row, Table

COLUMNS = ("IS", "FID", "sFID", "Precision", "Recall")
ADM, ADM_CLASS = "ADM (un-cond)", "ADM (class cond)"
U, X = "MT-Diffusion-U", "MT-Diffusion-X"
M, M_TUNED, E, E_TUNED = "MT-Diffusion-M", "MT-Diffusion-M*", "MT-Diffusion-E", "MT-Diffusion-E*"
LONGER, X_PLAIN, X_COMPLETE, M_HIDDEN, M_IN_TURN = (
    "ADM (un-cond), trained as long as the rows *",
    "-X without aggregation",
    "-X, half of the masks complete",
    "-M, E(y) half hidden",
    "-M, E(y) in turn",
)
BASE, MASKED, LABELS, FAIR = "One task", "Masked-image training", "Joint image-label modeling", "Not in the paper"
PUBLISHED = {
    ADM: (15.64, 23.22, 16.53, 0.57, 0.60),
    ADM_CLASS: (22.69, 16.35, 17.49, 0.59, 0.62),
    U: (23.77, 26.00, 25.22, 0.57, 0.55),
    X: (34.53, 9.85, 15.78, 0.68, 0.64),
    M: (15.66, 33.92, 21.63, 0.54, 0.55),
    M_TUNED: (26.31, 13.48, 16.64, 0.66, 0.61),
    E: (11.86, 41.00, 22.37, 0.48, 0.45),
    E_TUNED: (24.78, 11.28, 16.08, 0.74, 0.56),
}
CLAIMS = (
    Claim(
        id="MT2", text="-X beats unconditional ADM at equal training",
        metric="FID", better=X, worse=ADM, source="Sec. 4.1",
    ),
    Claim(
        id="MT2", text="-X beats class-conditional ADM at equal training",
        metric="FID", better=X, worse=ADM_CLASS, source="Sec. 4.1",
    ),
    Claim(
        id="MT3", text="-U beats unconditional ADM (its own table says no)", metric="FID", better=U, worse=ADM,
        source="Sec. 4.1",
        note="The text says that -U outperforms ADM; on FID, sFID and recall the table says the opposite.",
    ),
    Claim(id="MT3", text="-U beats unconditional ADM", metric="IS", better=U, worse=ADM, source="Sec. 4.1"),
    Claim(
        id="MT4", text="image-label training alone is worse than ADM (-M)",
        metric="FID", better=ADM, worse=M, source="Sec. 4.2",
    ),
    Claim(
        id="MT4", text="image-label training alone is worse than ADM (-E)",
        metric="FID", better=ADM, worse=E, source="Sec. 4.2",
    ),
    Claim(id="MT4", text="-M beats -E", metric="FID", better=M, worse=E, source="Sec. 4.2"),
    Claim(
        id="MT4", text="fine-tuned -M* beats class-conditional ADM",
        metric="FID", better=M_TUNED, worse=ADM_CLASS, source="Sec. 4.2",
    ),
    Claim(
        id="MT4", text="fine-tuned -E* beats class-conditional ADM",
        metric="FID", better=E_TUNED, worse=ADM_CLASS, source="Sec. 4.2",
    ),
    Claim(id="fair", text="-M* beats ADM trained as long", metric=KID, better=M_TUNED, worse=LONGER),
    Claim(
        id="MT11", text="the more similar task transfers more: -X beats -M",
        metric=KID, better=X, worse=M, source="App. E.5",
    ),
    Claim(id="ours", text="aggregation helps generation (-X)", metric=KID, better=X, worse=X_PLAIN),
    Claim(
        id="ours", text="more complete masks in training help generation (-X)",
        metric=KID, better=X_COMPLETE, worse=X,
    ),
    Claim(id="ours", text="hiding E(y) from half of the images helps -M", metric=KID, better=M_HIDDEN, worse=M),
    Claim(id="ours", text="encoding every class in every step helps -M", metric=KID, better=M, worse=M_IN_TURN),
)  # fmt: skip
NOTES = (
    "-X generates from a complete mask; -M and -E estimate the class while they generate (Algorithm 1), which starts unknown.",
    "The rows * are fine-tuned on generation alone, longer than ADM was trained; the row 'trained as long' gives ADM the same.",
    f"In turn: the network encodes classes in every {IN_TURN}th training step alone, as many as there are images, and the other "
    "steps take E(y) as it is. That is cheaper by up to a third of a step; samples are encoded by the final network as ever.",
    *DEVIATIONS,
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: the paper's rows, then those it lacks, then real images."""
    plain, classes = adm(profile, seed, label=False), adm(profile, seed, label=True)
    u, x = masked_image(profile, seed, concatenate=False), masked_image(profile, seed)
    m, e = image_label(profile, seed, head="middle"), image_label(profile, seed, head="output")
    nothing, label = images(profile, 64), images(profile, 64, "label")

    def row(group: str, text: str, name: str, run: TrainRun | None, data: DataConfig = nothing) -> Row:
        published = dict(zip(COLUMNS, PUBLISHED[text])) if text in PUBLISHED else None
        sample = sampled(profile, f"{name}-generated", generated_or_real(run), data)
        return Row(group=group, label=text, published=published, sample=sample)

    return Table(
        name="table6",
        title="Generation after equal training, ImageNet-64",
        paper="MT-Diffusion (ICLR 2024), Table 2",
        metrics=columns(profile, *COLUMNS, *BESIDE_FID, COVERAGE, *copies_of_objects(profile)),
        rows=(
            row(BASE, ADM, "adm", plain),
            row(BASE, ADM_CLASS, "adm-class", classes, label),
            row(MASKED, U, "mt-u", u),
            row(MASKED, X, "mt-x", x),
            row(LABELS, M, "mt-m", m),
            row(LABELS, M_TUNED, "mt-m-tuned", tuned(profile, m, "mt-m-tuned", tasks=("image",))),
            row(LABELS, E, "mt-e", e),
            row(LABELS, E_TUNED, "mt-e-tuned", tuned(profile, e, "mt-e-tuned", tasks=("image",))),
            row(FAIR, LONGER, "adm-tuned", tuned(profile, plain, "adm-tuned")),
            row(FAIR, X_PLAIN, "mt-x-plain", masked_image(profile, seed, aggregation="none", name="mt-x-plain")),
            row(FAIR, X_COMPLETE, "mt-x-complete", masked_image(profile, seed, complete=0.5, name="mt-x-complete")),
            row(FAIR, M_HIDDEN, "mt-m-hidden", image_label(profile, seed, head="middle", hide=0.5)),
            row(FAIR, M_IN_TURN, "mt-m-in-turn", image_label(profile, seed, head="middle", renew_every=IN_TURN)),
            row("Ceiling", "real images", "objects-real", None, label),
        ),
        claims=tuple(also_on_kid(CLAIMS)),
        notes=NOTES,
        evaluators=object_evaluator(profile),
    )


if __name__ == "__main__":
    main(table)
