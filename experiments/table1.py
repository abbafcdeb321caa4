"""Table 1: Unite and Conquer (Nair et al., CVPR 2023), Table 1 -- hair map + face map to face, CelebA-HQ.

    python -m experiments.table1 --profile mini
"""

from experiments.cli import main
from experiments.recipes.faces import GAN_WHY, NOTES, OURS, claims, metrics, ours, single_and_united_rows
from experiments.recipes.judges import face_parser
from experiments.spec import Profile, Row, Table

COLUMNS = ("FID", "LPIPS", "SSIM", "mIoU", "F1")
PUBLISHED = {
    "Fine-tuning": {
        "SPADE": (131.91, 0.638, 0.316, 0.605, 0.694),
        "OASIS": (118.67, 0.624, 0.318, 0.579, 0.663),
        "Pix2PixHD": (153.19, 0.611, 0.282, 0.716, 0.819),
        "INADE": (125.43, 0.632, 0.279, 0.881, 0.932),
    },
    "Combined": {
        "SPADE": (89.29, 0.523, 0.376, 0.890, 0.936),
        "OASIS": (71.20, 0.571, 0.323, 0.792, 0.870),
        "Pix2PixHD": (73.32, 0.512, 0.373, 0.872, 0.925),
        "INADE": (54.27, 0.552, 0.332, 0.887, 0.933),
        "TediGAN": (69.51, 0.4823, 0.417, 0.834, 0.905),
    },
}
PUBLISHED_OURS = (26.09, 0.519, 0.416, 0.911, 0.948)


def table(profile: Profile, seed: int) -> Table:
    """Rows of Table 1 as printed, then the fair ones."""
    printed = tuple(
        Row(group=group, label=label, published=dict(zip(COLUMNS, values)), why=GAN_WHY)
        for group, rows in PUBLISHED.items()
        for label, values in rows.items()
    )
    united = Row(
        group="Combined", label=OURS, published=dict(zip(COLUMNS, PUBLISHED_OURS)),
        sample=ours(profile, seed, "celebamask_hq"),
    )  # fmt: skip
    return Table(
        name="table1",
        title="Multimodal semantic labels to face, CelebA-HQ",
        paper="Unite and Conquer (CVPR 2023), Table 1",
        metrics=metrics(profile, *COLUMNS),
        rows=(*printed, united, *single_and_united_rows(profile, seed, "celebamask_hq")),
        claims=claims("mIoU", "F1", "FID"),
        notes=NOTES,
        judges=face_parser(profile),
    )


if __name__ == "__main__":
    main(table)
