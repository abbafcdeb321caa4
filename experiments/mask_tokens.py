"""Mask tokens: must a token identify its class? Collaborative Diffusion (Huang et al., CVPR 2023), supplement A.1.

python -m experiments.mask_tokens --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.beside_fid import COPIES, KID
from experiments.recipes.collaborative import FID_ALL, MASK, MIOU, collaborated, mask_token_expert, metrics
from experiments.recipes.evaluators import face_parser
from experiments.runs import SampleRun
from experiments.spec import Claim, Profile, Row, Table
from experiments.table9 import ceiling
from lightning_mmdiff.methods.composable import Compose
from lightning_mmdiff.methods.config import ExpertUse

PUBLISHED, WITH_CLASSES = "tokens as published", "tokens with a class embedding"
NOTES = (
    "A token is the map of one class through a linear layer that all classes share: permuting the classes changes nothing, "
    "so the published network can only guess from position and shape which class a token is (PITFALLS.md).",
    "A class embedding is a learned vector for each class, added to its token.",
    "In latent space at all profiles; the autoencoder's own loss of detail is in both rows.",
)


def generated(profile: Profile, seed: int, name: str, *, class_embedding: bool) -> SampleRun:
    """Return the run in which one expert samples faces for the masks of the test images.

    Args:
        profile: profile of the run.
        seed: training seed.
        name: name of the run.
        class_embedding: whether tokens identify their class.
    """
    run = mask_token_expert(profile, seed, class_embedding=class_embedding)
    use = ExpertUse(run=run, conditions=("mask_tokens",))
    return collaborated(profile, name, Compose(experts=(use,)))


def table(profile: Profile, seed: int) -> Table:
    """Return the table: both experts given the same masks."""
    columns = metrics(profile, FID_ALL, MASK, MIOU, KID, COPIES)
    return Table(
        name="mask_tokens",
        title="Faces from mask tokens, with and without their class",
        paper="in no paper; the tokens are Collaborative Diffusion's (CVPR 2023), supplement A.1",
        metrics=columns,
        rows=(
            Row(label=PUBLISHED, sample=generated(profile, seed, "mask-tokens", class_embedding=False)),
            Row(label=WITH_CLASSES, sample=generated(profile, seed, "mask-tokens-with-classes", class_embedding=True)),
            ceiling(profile),
        ),
        claims=tuple(
            Claim(
                id="ours", text="a token that says its class is followed better", metric=metric.column,
                better=WITH_CLASSES, worse=PUBLISHED,
            )
            for metric in metrics(profile, KID, MASK, MIOU)
        ),
        notes=NOTES,
        evaluators=face_parser(profile),
    )  # fmt: skip


if __name__ == "__main__":
    main(table)
