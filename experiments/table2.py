"""Table 2: Unite and Conquer (Nair et al., CVPR 2023), Table 2 -- the models of Table 1, evaluated on FFHQ.

python -m experiments.table2 --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.faces import OURS, labels_to_face
from experiments.spec import Profile, Table

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
        OURS: (33.60, 0.542, 0.421, 0.919, 0.950),
    },
}


def table(profile: Profile, seed: int) -> Table:
    """Return the table: FID, LPIPS, SSIM, mIoU and F1 of every row."""
    title = "Hair map and face map to face, FFHQ"
    return labels_to_face(profile, seed, name="table2", dataset="ffhq", title=title, published=PUBLISHED)


if __name__ == "__main__":
    main(table)
