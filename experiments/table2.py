"""Table 2: Unite and Conquer (Nair et al., CVPR 2023), Table 2 -- the models of Table 1, evaluated on FFHQ.

    python -m experiments.table2 --profile mini
"""

from experiments.cli import main
from experiments.recipes.faces import GAN_WHY, NOTES, OURS, claims, metrics, ours, single_and_united_rows
from experiments.recipes.judges import face_parser
from experiments.spec import Profile, Row, Table

COLUMNS = ("FID", "LPIPS", "SSIM", "mIoU", "F1")
PUBLISHED = {
    "Fine-tuning": {
        "SPADE": (91.77, 0.624, 0.340, 0.649, 0.728),
        "OASIS": (99.94, 0.634, 0.320, 0.625, 0.704),
        "Pix2PixHD": (223.85, 0.670, 0.265, 0.666, 0.775),
        "INADE": (134.11, 0.656, 0.274, 0.869, 0.922),
    },
    "Combined": {
        "SPADE": (75.73, 0.545, 0.373, 0.876, 0.921),
        "OASIS": (75.57, 0.593, 0.331, 0.786, 0.863),
        "Pix2PixHD": (138.30, 0.560, 0.363, 0.840, 0.898),
        "INADE": (47.40, 0.574, 0.334, 0.862, 0.910),
        "TediGAN": (125.27, 0.545, 0.409, 0.813, 0.887),
    },
}
PUBLISHED_OURS = (33.60, 0.542, 0.421, 0.919, 0.950)


def table(profile: Profile, seed: int) -> Table:
    """Rows of Table 2 as printed, then the fair ones."""
    printed = tuple(
        Row(group=group, label=label, published=dict(zip(COLUMNS, values)), why=GAN_WHY)
        for group, rows in PUBLISHED.items()
        for label, values in rows.items()
    )
    united = Row(
        group="Combined", label=OURS, published=dict(zip(COLUMNS, PUBLISHED_OURS)),
        sample=ours(profile, seed, "ffhq"),
    )  # fmt: skip
    return Table(
        name="table2",
        title="Multimodal semantic labels to face, FFHQ",
        paper="Unite and Conquer (CVPR 2023), Table 2",
        metrics=metrics(profile, *COLUMNS),
        rows=(*printed, united, *single_and_united_rows(profile, seed, "ffhq")),
        claims=claims("mIoU", "F1", "FID"),
        notes=NOTES,
        judges=face_parser(profile),
    )


if __name__ == "__main__":
    main(table)
