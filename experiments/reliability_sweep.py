"""Reliability sweep: Unite and Conquer (Nair et al., CVPR 2023), Fig. 6-7 and 9-12, Sec. 4.3 -- rows of pictures over a and w.

python -m experiments.reliability_sweep --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.beside_fid import COPIES, KID
from experiments.recipes.evaluators import face_parser
from experiments.recipes.faces import metrics
from experiments.recipes.unite_and_conquer import face, face_models, unite, united
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.methods.config import ExpertUse

RELIABILITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
WEIGHTS = (1.0, 1.5, 2.0, 3.0)
ONE_NULL = "one published network serves both maps: its null is the only one, so a changes nothing"


def row(profile: Profile, seed: int, group: str, label: str, *, reliability: float = 0.5, weight: float = 1.0) -> Row:
    """Return the row of one setting of Eq. 10.

    Args:
        profile: profile of the run.
        seed: training seed.
        group: group of the row.
        label: label of the row.
        reliability: reliability of the hair expert; the face expert has the rest.
        weight: weight of both experts.
    """
    models = face_models(profile, seed)
    if models.hair == models.face and reliability != 0.5:
        return Row(group=group, label=label, why=ONE_NULL)
    uses = (
        ExpertUse(run=models.hair, conditions=("hair",), weight=weight, reliability=reliability),
        ExpertUse(run=models.face, conditions=(face(profile),), weight=weight, reliability=1 - reliability),
    )
    name = f"sweep-a{reliability:g}-w{weight:g}"
    return Row(group=group, label=label, sample=united(profile, name, "celebamask_hq", unite(*uses), num_images=128))


def table(profile: Profile, seed: int) -> Table:
    """Return the table: reliability at w = 1, then weight at a = 1/2."""
    reliability = [
        row(profile, seed, "Reliability of the hair expert, w = 1", f"a = {a:g}", reliability=a) for a in RELIABILITIES
    ]
    weight = [row(profile, seed, "Weight of both, a = 1/2", f"w = {w:g}", weight=w) for w in WEIGHTS[1:]]
    paper = "The paper (Sec. 4.3): independent attributes do not care about reliability, so neither would be decided."
    return Table(
        name="reliability_sweep",
        title="Reliability and weight",
        paper="Unite and Conquer (CVPR 2023), Fig. 6, 7, 9-12",
        metrics=metrics(profile, "FID", "mIoU", "F1", KID, COPIES),
        rows=(*reliability, *weight),
        claims=(
            *(
                Claim(
                    id="against UC7",
                    text=f"reliability matters: a = 0.5 follows the maps better than a = {a}",
                    metric="mIoU",
                    better="a = 0.5",
                    worse=f"a = {a}",
                    note=paper,
                )
                for a in (0, 1)
            ),
            Claim(
                id="ours", text="more weight follows the maps better", metric="mIoU", better="w = 2", worse="a = 0.5"
            ),
        ),
        notes=(
            "The hair expert knows CelebA-HQ, the face expert FFHQ; with a = 1 Eq. 10's unconditional part is CelebA-HQ's.",
        ),
        evaluators=face_parser(profile),
    )


if __name__ == "__main__":
    main(table)
