"""Table 4: Unite and Conquer (Nair et al., CVPR 2023), Table 4 -- what uniting adds to one condition, and to both in one model.

python -m experiments.table4 --profile mini
"""

from dataclasses import replace

from experiments.engine.cli import main
from experiments.recipes.beside_fid import BESIDE_FID, COPIES, KID, also_on_kid
from experiments.recipes.evaluators import face_parser
from experiments.recipes.faces import BOTH, FACE, OURS, claims, metrics, notes, ours, single_and_united_rows
from experiments.spec import Claim, Profile, Row, Table

COLUMNS = ("FID", "SSIM", "mIoU", "F1")
PUBLISHED = {
    FACE: (27.66, 0.373, 0.842, 0.907),
    BOTH: (61.62, 0.376, 0.872, 0.922),
    OURS: (26.09, 0.416, 0.911, 0.948),
}
UC5 = (
    Claim(
        id="UC5",
        text="the single model given both has a worse FID than given one",
        metric="FID",
        better=FACE,
        worse=BOTH,
        source="Table 4",
    ),
    Claim(id="UC5", text="... and a better mIoU", metric="mIoU", better=BOTH, worse=FACE, source="Table 4"),
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: the paper's three rows, then the remaining rows of the same experts and the fair rows."""
    united = Row(group="Multi", label=OURS, sample=ours(profile, seed, "celebamask_hq"))
    rows = (united, *single_and_united_rows(profile, seed, "celebamask_hq"))
    group = {FACE: "Uni", BOTH: "Uni", OURS: "Multi"}
    printed = [replace(r, group=group[r.label]) for label in PUBLISHED for r in rows if r.label == label]
    printed = [replace(r, published=dict(zip(COLUMNS, PUBLISHED[r.label]))) for r in printed]
    return Table(
        name="table4",
        title="Analysis of the sampling method, CelebA-HQ",
        paper="Unite and Conquer (CVPR 2023), Table 4",
        metrics=metrics(profile, *COLUMNS, *BESIDE_FID, COPIES),
        rows=(*printed, *(r for r in rows if r.label not in PUBLISHED)),
        claims=(*claims("FID", "SSIM", "mIoU", KID), *also_on_kid(UC5)),
        notes=notes(profile),
        evaluators=face_parser(profile),
    )


if __name__ == "__main__":
    main(table)
