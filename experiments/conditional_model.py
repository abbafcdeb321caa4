"""Joint against conditional: MT-Diffusion (Chen et al., ICLR 2024), App. E.5 -- restoring images after short and long training.

python -m experiments.conditional_model --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.beside_fid import KID
from experiments.recipes.columns import columns, copies_of_objects, object_evaluator
from experiments.recipes.mt_diffusion import DEVIATIONS, masked_image, restoration_alone, shortened
from experiments.recipes.mt_shared import generated_or_real, sampled, with_holes
from experiments.runs import TrainRun
from experiments.spec import Claim, Profile, Row, Table

SHARES = (0.25, 0.5, 1.0)
"""Fractions of the full training; each length is trained separately."""
JOINT, CONDITIONAL = "MT-Diffusion-X", "purely conditional"
PATCHES = 10
CLAIMED = (
    ("MT10", "after a quarter of the steps", "App. E.5"),
    ("MT10", "after half of the steps", "App. E.5"),
    ("ours", "after all steps", ""),
)
"""Id, text and source of the claim at each length: the paper says that both end alike."""


def label_of(name: str, run: TrainRun) -> str:
    """Return the label of a row."""
    return f"{name}, {run.trainer.max_steps} steps"


def table(profile: Profile, seed: int) -> Table:
    """Return the table: images restored by both models at each training length."""
    data = with_holes(profile, 64, PATCHES)
    full = {JOINT: masked_image(profile, seed), CONDITIONAL: restoration_alone(profile, seed)}
    runs = {name: [shortened(run, share) for share in SHARES] for name, run in full.items()}

    def row(name: str, run: TrainRun) -> Row:
        sample = sampled(profile, f"{run.name.split('-seed')[0]}-restored", generated_or_real(run), data)
        return Row(group=name, label=label_of(name, run), sample=sample)

    return Table(
        name="conditional_model",
        title="Joint against purely conditional training",
        paper="MT-Diffusion (ICLR 2024), App. E.5",
        metrics=columns(profile, "FID", "IS", "LPIPS", "PSNR-Hidden", KID, *copies_of_objects(profile)),
        rows=(
            *(row(name, run) for name in full for run in runs[name]),
            Row(group="Ceiling", label="real images", sample=sampled(profile, "restored-real", generated_or_real(None), data)),
        ),
        claims=tuple(
            Claim(
                id=name, text=f"MT-Diffusion is ahead {text}", metric=KID, source=source,
                better=label_of(JOINT, joint), worse=label_of(CONDITIONAL, alone),
            )
            for (name, text, source), joint, alone in zip(CLAIMED, runs[JOINT], runs[CONDITIONAL])
        ),
        notes=(
            "The paper says that joint training converges faster, both ending alike, on CIFAR-10, and prints no numbers.",
            f"Test images have {PATCHES} patches hidden; both networks read the masked image.",
            *DEVIATIONS,
        ),
        evaluators=object_evaluator(profile),
    )  # fmt: skip


if __name__ == "__main__":
    main(table)
