"""Table 10: Collaborative Diffusion (Huang et al., CVPR 2023), Table 2 -- influence with and without variation in space and time.

python -m experiments.table10 --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.collaborative import metrics
from experiments.recipes.evaluators import attribute_evaluator, face_parser
from experiments.recipes.settings.collaborative import of
from experiments.spec import Profile, Row, Table
from experiments.table9 import COLUMNS, COMPOSABLE, OURS, RELEASED_NOTES, ceiling, claims, composable, judged, ours

NO_SPACE, NO_TIME, NEITHER = "Ours w/o Spatial", "Ours w/o Temporal", "Ours w/o Spatial and Temporal"
PUBLISHED = {NO_SPACE: (117.81, 24.36, 0.8008), NO_TIME: (117.34, 24.48, 0.7707), OURS: (111.36, 24.51, 0.8025)}
NOTES = (
    "The paper does not say how it removes the variation, and no code shows it. Here at sampling, nothing is trained again: "
    "w/o Spatial is the mean of the logits over the image, before the softmax; w/o Temporal repeats, from the same x_T, with "
    "the mean over all steps of a first run's influence.",
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: the paper's rows, then both variations removed, and equal influence."""
    published = {label: dict(zip(COLUMNS, values)) for label, values in PUBLISHED.items()}
    more = "Not in the paper"
    neither = ours(profile, seed, "collaborative-constant", spatial=False, temporal=False)
    return Table(
        name="table10",
        title="Ablation of the influence, CelebA-HQ",
        paper="Collaborative Diffusion (CVPR 2023), Table 2",
        metrics=metrics(profile),
        rows=(
            Row(
                label=NO_SPACE, published=published[NO_SPACE],
                sample=ours(profile, seed, "collaborative-nonspatial", spatial=False),
            ),
            Row(
                label=NO_TIME, published=published[NO_TIME],
                sample=ours(profile, seed, "collaborative-nontemporal", temporal=False),
            ),
            Row(label=OURS, published=published[OURS], sample=ours(profile, seed)),
            Row(group=more, label=NEITHER, sample=neither),
            Row(group=more, label=COMPOSABLE, sample=composable(profile, seed)),
            ceiling(profile),
        ),
        claims=(
            *claims(NO_SPACE, "without spatial variation it is worse", judged(profile), id="CD2", source="Table 2"),
            *claims(NO_TIME, "without temporal variation it is worse", judged(profile), id="CD3", source="Table 2"),
            *claims(NEITHER, "without any variation it is worse", judged(profile)),
        ),
        notes=(*NOTES, *(RELEASED_NOTES if of(profile).released else ())),
        evaluators=(*face_parser(profile), *attribute_evaluator(profile)),
    )  # fmt: skip


if __name__ == "__main__":
    main(table)
