"""Head to head on conditions that do not depend on each other: hair map and face map. A table that no paper has.

python -m experiments.head_to_head_faces --profile mini

The experts are those of Table 1; ``head_to_head`` has the pair that does depend, mask and text.
"""

from experiments.engine.cli import main
from experiments.recipes.beside_fid import COPIES, KID
from experiments.recipes.evaluators import face_parser
from experiments.recipes.faces import AVERAGE, BOTH, metrics, ours, single_and_united_rows
from experiments.recipes.settings.unite_and_conquer import CELEBA, of
from experiments.recipes.unite_and_conquer import face, face_models, guided, united
from experiments.recipes.ways_to_combine import (
    AND,
    COSTS,
    ETA_0,
    ETA_1,
    INTERVAL,
    LANGEVIN,
    LONG_0,
    NOTE,
    OWN,
    OWN_1,
    PARTICLES_4,
    PLUS_PLUS,
    SALIENCY,
    claims_on,
    grouped,
    spread,
    ways,
)
from experiments.runs import SampleRun
from experiments.spec import Agreement, Profile, Row, Table
from lightning_mmdiff.methods.config import MethodConfig

TWICE = f"{BOTH}, twice the training, guidance 2"
COMPARED = (ETA_1, LONG_0, OWN, OWN_1, LANGEVIN, PARTICLES_4, INTERVAL, PLUS_PLUS, AND, SALIENCY)
JUDGED = ("mIoU", "F1", KID)
NOTES = (
    "A hair map and a map of the face's parts concern different pixels: where two conditions are independent given every noisy "
    "image, Eq. 10 is exact and no product method can beat it. So a claim that holds here speaks of the networks' errors.",
    "The one model with both conditions is that of Table 1, which never saw both maps of one image; it cannot serve as the "
    "truth, so the figure over t shows the experts alone.",
    NOTE,
)


def rows(profile: Profile, seed: int) -> tuple[Row, ...]:
    """Return Table 1's rows of the same experts, and the ways to combine them that need no training."""
    models = face_models(profile, seed)
    uses = (guided(models.hair, "hair"), guided(models.face, face(profile)))

    def sampled(profile: Profile, name: str, method: MethodConfig) -> SampleRun:
        return united(profile, name, CELEBA, method)

    found = ways(profile, uses, sampled, "hair-face")
    known = {row.label: row for row in single_and_united_rows(profile, seed, CELEBA)}
    return (
        known[AVERAGE],
        known[TWICE],
        *grouped({ETA_0: ours(profile, seed, CELEBA), **{label: found[label] for label in COMPARED}}),
        known["real images"],
    )


def table(profile: Profile, seed: int) -> Table:
    """Return the table: quality, consistency, spread and cost of the ways to combine two independent conditions."""
    made = rows(profile, seed)
    return Table(
        name="head_to_head_faces",
        title="Hair map and face map: ways to combine two experts",
        paper="in no paper",
        metrics=(
            *metrics(profile, "FID", KID, "Hair", "Face", "Both", "mIoU", "F1", COPIES),
            spread(of(profile).published_metrics),
            *COSTS,
        ),
        rows=made,
        claims=claims_on([row.label for row in made], JUDGED),
        notes=NOTES,
        evaluators=face_parser(profile),
        agreement=Agreement(united=ours(profile, seed, CELEBA)),
    )


if __name__ == "__main__":
    main(table)
