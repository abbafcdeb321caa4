"""Influence maps: Collaborative Diffusion (Huang et al., CVPR 2023), Fig. 10 and Sec. 4.5 -- where and when each modality counts.

python -m experiments.influence_maps --profile mini
"""

from experiments.engine.cli import main
from experiments.protocols.catalogue import column
from experiments.spec import Claim, Profile, Row, Table
from experiments.table9 import OURS, RELEASED, ours
from experiments.table10 import NO_SPACE, NO_TIME

METRICS = (
    column("Mask", "Influence-Mask"),
    column("Contours", "Influence-Contours"),
    column("Skin", "Influence-Skin"),
    column("Early", "Influence-Early"),
)
CLAIMS = (
    Claim(
        id="CD4", text="the mask's influence lies on contours",
        metric="Contours", better=OURS, worse=NO_SPACE, source="Sec. 4.5",
    ),
    Claim(
        id="CD4", text="the text's influence is stronger on skin",
        metric="Skin", better=OURS, worse=NO_SPACE, source="Sec. 4.5",
    ),
    Claim(
        id="CD4", text="the mask's influence is stronger early, without the released schedule too", metric="Early",
        better=OURS, worse=NO_TIME, source="Sec. 4.5",
    ),
    Claim(
        id="ours", text="the released schedule adds to the temporal trend", metric="Early", better=RELEASED, worse=OURS
    ),
)  # fmt: skip
NOTES = (
    "Each column is a difference within an image; the ablations without that variation have 0 by construction, so a claim "
    "against them asks whether the difference is above 0.",
    "The released sampler multiplies the mask's influence by a cosine of t, so its trend over time is made by hand.",
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: ours, ours with the released schedule, and the two ablations of Table 10."""
    return Table(
        name="influence_maps",
        title="Influence of mask and text over space and time",
        paper="Collaborative Diffusion (CVPR 2023), Fig. 10",
        metrics=METRICS,
        rows=(
            Row(label=OURS, sample=ours(profile, seed)),
            Row(label=RELEASED, sample=ours(profile, seed, "collaborative-released", schedule="released")),
            Row(label=NO_SPACE, sample=ours(profile, seed, "collaborative-nonspatial", spatial=False)),
            Row(label=NO_TIME, sample=ours(profile, seed, "collaborative-nontemporal", temporal=False)),
        ),
        claims=CLAIMS,
        notes=NOTES,
        influence=True,
    )


if __name__ == "__main__":
    main(table)
