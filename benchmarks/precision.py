"""What sampling in bf16 changes in the metrics: united experts, the same noise and conditions, in 32-bit and in bf16.

    python -m benchmarks.precision --profile mini --out runs

A table like those of ``experiments``, with its page and its shared runs. A claim's difference is paired by image.
"""

from dataclasses import replace

from experiments.engine.cli import main
from experiments.recipes.beside_fid import BESIDE_FID, KID
from experiments.recipes.evaluators import face_parser
from experiments.recipes.faces import metrics, ours
from experiments.spec import Claim, Profile, Row, Table

EXACT, HALF = "32-bit", "bf16, accumulated in 32-bit"


def table(profile: Profile, seed: int) -> Table:
    """Return the table: Table 4's united experts in both precisions."""
    exact = ours(profile, seed, "celebamask_hq")
    half = replace(exact, name=f"{exact.name}-bf16", precision="bf16-mixed")
    columns = ("FID", "SSIM", "mIoU", "F1", KID)
    return Table(
        name="precision",
        title="Sampling in 32-bit and in bf16",
        paper="",
        metrics=metrics(profile, *columns[:4], *BESIDE_FID),
        rows=(Row(label=EXACT, sample=exact), Row(label=HALF, sample=half)),
        claims=tuple(
            Claim(id="ours", text="32-bit is better than bf16", metric=c, better=EXACT, worse=HALF) for c in columns
        ),
        evaluators=face_parser(profile),
    )


if __name__ == "__main__":
    main(table)
