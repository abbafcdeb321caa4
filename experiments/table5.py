"""Table 5: MT-Diffusion (Chen et al., ICLR 2024), Table 1 -- restoring images with random holes.

python -m experiments.table5 --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.columns import columns
from experiments.recipes.mt_diffusion import DEVIATIONS, adm, masked_image
from experiments.recipes.mt_shared import sampled, with_holes
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.mt_diffusion.restoration import RestoreMasked
from lightning_mmdiff.methods.replacement import ReplaceKnown
from lightning_mmdiff.methods.sdedit import EditWithSDEdit
from lightning_mmdiff.methods.single import Denoise, RealImages

PATCHES = (5, 10, 15, 20)
CLEAN, SDEDIT, OURS = "Clean-Masked", "SDEdit-", "MT-Diffusion"
KEPT, PLAIN, REPLACED = "MT-Diffusion, visible pixels kept", "the same network without aggregation", "replacement (ADM)"
PUBLISHED = {
    CLEAN: (0.311, 0.414, 0.461, 0.491),
    SDEDIT: (0.400, 0.466, 0.497, 0.513),
    OURS: (0.035, 0.068, 0.099, 0.133),
}
SOURCES = {"MT1": "Sec. 4.1"}
"""Claim -> where the paper makes it; the others are ours."""
NOTES = (
    "SDEdit- starts from the masked image noised half-way, knows no mask and keeps nothing; the paper gives no t_0.",
    "Replacement overwrites the known pixels of every step by their noised version and needs no training of its own.",
    "Clean-Masked leaves the holes, which trains nothing: its interval over training seeds has no width.",
    "Training has 0 to 10 patches: with 15 and 20 the masks are harder than any seen.",
    *DEVIATIONS,
)


def rows(profile: Profile, seed: int, patches: int) -> tuple[Row, ...]:
    """Return the paper's rows at one number of patches, then ours."""
    data, place = with_holes(profile, 64, patches), PATCHES.index(patches)
    unconditional, restoring = adm(profile, seed, label=False), masked_image(profile, seed)
    plain = masked_image(profile, seed, aggregation="none", name="mt-x-plain")

    def row(label: str, name: str, method: MethodConfig) -> Row:
        sample = sampled(profile, f"{name}-{patches}-patches", method, data)
        published = {"LPIPS": PUBLISHED[label][place]} if label in PUBLISHED else None
        return Row(group=f"{patches} patches", label=_label(label, patches), published=published, sample=sample)

    return (
        row(CLEAN, "clean-masked", EditWithSDEdit(model=unconditional, start=0.0)),
        row(SDEDIT, "sdedit", EditWithSDEdit(model=unconditional, start=0.5)),
        row(OURS, "mt-x", Denoise(model=restoring)),
        row(KEPT, "mt-x-kept", RestoreMasked(model=restoring)),
        row(PLAIN, "mt-x-plain", Denoise(model=plain)),
        row(REPLACED, "replacement", ReplaceKnown(model=unconditional)),
    )


def claims(patches: int) -> tuple[Claim, ...]:
    """Return MT1 at one number of patches, and questions that the paper does not ask."""
    pairs = (
        ("MT1", f"restoring beats leaving the holes, {patches} patches", OURS, CLEAN, "LPIPS"),
        ("MT1", f"restoring beats SDEdit-, {patches} patches", OURS, SDEDIT, "LPIPS"),
        ("MT1", f"SDEdit- is worse than leaving the holes, {patches} patches", CLEAN, SDEDIT, "LPIPS"),
        (
            "MT1",
            f"MT-Diffusion keeps visible pixels better than SDEdit-, {patches} patches",
            OURS,
            SDEDIT,
            "MAE-Visible",
        ),
        ("ours", f"aggregation helps restoring, {patches} patches", OURS, PLAIN, "LPIPS"),
        ("ours", f"MT-Diffusion beats replacement, both with kept pixels, {patches} patches", KEPT, REPLACED, "LPIPS"),
    )
    return tuple(
        Claim(
            id=i,
            text=text,
            metric=metric,
            better=_label(better, patches),
            worse=_label(worse, patches),
            source=SOURCES.get(i, ""),
        )
        for i, text, better, worse, metric in pairs
    )


def _label(label: str, patches: int) -> str:
    return f"{label}, {patches} patches"


def table(profile: Profile, seed: int) -> Table:
    """Return the table: LPIPS, and the changes of hidden and visible pixels."""
    ceiling = sampled(profile, "masked-real", RealImages(), with_holes(profile, 64, PATCHES[0]))
    return Table(
        name="table5",
        title="Restoring images with random holes",
        paper="MT-Diffusion (ICLR 2024), Table 1",
        metrics=columns(profile, "LPIPS", "PSNR-Hidden", "MAE-Visible"),
        rows=(
            *(row for patches in PATCHES for row in rows(profile, seed, patches)),
            Row(group="Ceiling", label="real images", sample=ceiling),
        ),
        claims=tuple(claim for patches in PATCHES for claim in claims(patches)),
        notes=NOTES,
    )


if __name__ == "__main__":
    main(table)
