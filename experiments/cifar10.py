"""CIFAR-10: MT-Diffusion (Chen et al., ICLR 2024), App. E.5 -- real photographs, generated and restored.

python -m experiments.cifar10 --profile mini --data DIR    # DIR/cifar10/{train,test}/{airplane,...}/*.jpg
"""

from datamodules.config import DataConfig
from experiments.engine.cli import main
from experiments.recipes import cifar10 as recipes
from experiments.recipes.beside_fid import BESIDE_FID, COPIES, KID
from experiments.recipes.columns import columns
from experiments.recipes.mt_diffusion import DEVIATIONS
from experiments.recipes.mt_shared import sampled
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.mt_diffusion.restoration import RestoreMasked
from lightning_mmdiff.methods.sdedit import EditWithSDEdit
from lightning_mmdiff.methods.single import Denoise, RealImages

PATCHES = 5
ADM, X = "ADM", "MT-Diffusion-X"
CLEAN, OURS, KEPT = "Clean-Masked", "MT-Diffusion-X, restored", "MT-Diffusion-X, restored, visible pixels kept"
CONDITIONAL, PLAIN = "purely conditional", "-X without aggregation, restored"
GENERATED, RESTORED = "Generated", f"Restored, {PATCHES} patches"
CLAIMS = (
    Claim(
        id="MT2", text="-X beats unconditional ADM at equal training",
        metric=KID, better=X, worse=ADM, source="Sec. 4.1",
    ),
    Claim(
        id="MT1", text="restoring beats leaving the holes",
        metric="LPIPS", better=OURS, worse=CLEAN, source="Sec. 4.1",
    ),
    Claim(
        id="MT10", text="joint training restores better than conditional",
        metric="LPIPS", better=OURS, worse=CONDITIONAL, source="App. E.5",
    ),
    Claim(
        id="MT10", text="... and its images are nearer to the data",
        metric=KID, better=OURS, worse=CONDITIONAL, source="App. E.5",
    ),
    Claim(id="ours", text="aggregation helps restoring", metric="LPIPS", better=OURS, worse=PLAIN),
)  # fmt: skip
NOTES = (
    "Without --data the images are rendered objects in the layout of CIFAR-10: then this is no test on photographs.",
    "LPIPS is to the test image of the same number: of generated images it says how far two unrelated images are.",
    "The paper says that joint training converges faster than a purely conditional model and ends alike; it prints no numbers.",
    *recipes.DEVIATIONS,
    *DEVIATIONS,
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: generated and restored photographs."""
    alone, joint = recipes.single_task(profile, seed), recipes.joint(profile, seed)
    plain, conditional = recipes.joint(profile, seed, aggregation="none"), recipes.conditional(profile, seed)
    holes = recipes.photographs(profile, patches=PATCHES)

    def row(label: str, name: str, method: MethodConfig, data: DataConfig = holes) -> Row:
        group = "Ceiling" if method.is_real else RESTORED if name.endswith("restored") else GENERATED
        return Row(group=group, label=label, sample=sampled(profile, f"cifar10-{name}", method, data))

    return Table(
        name="cifar10",
        title="CIFAR-10, generated and restored",
        paper="MT-Diffusion (ICLR 2024), App. E.5",
        metrics=columns(profile, "FID", "IS", "LPIPS", *BESIDE_FID, COPIES, objects=False),
        rows=(
            row(ADM, "adm-generated", Denoise(model=alone), recipes.photographs(profile)),
            row(X, "mt-x-generated", Denoise(model=joint), recipes.photographs(profile)),
            row(CLEAN, "clean-masked-restored", EditWithSDEdit(model=alone, start=0.0)),
            row(OURS, "mt-x-restored", Denoise(model=joint)),
            row(KEPT, "mt-x-kept-restored", RestoreMasked(model=joint)),
            row(PLAIN, "mt-x-none-restored", Denoise(model=plain)),
            row(CONDITIONAL, "conditional-restored", Denoise(model=conditional)),
            row("real images", "real", RealImages()),
        ),
        claims=CLAIMS,
        notes=NOTES,
    )


if __name__ == "__main__":
    main(table)
