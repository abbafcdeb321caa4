"""Table 1: Unite and Conquer (Nair et al., CVPR 2023), Table 1 -- hair map + face map to face, CelebA-HQ.

python -m experiments.table1 --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.faces import OURS, labels_to_face
from experiments.spec import Profile, Table

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
        OURS: (26.09, 0.519, 0.416, 0.911, 0.948),
    },
}


def table(profile: Profile, seed: int) -> Table:
    """Return the table: FID, LPIPS, SSIM, mIoU and F1 of every row."""
    title = "Hair map and face map to face, CelebA-HQ"
    return labels_to_face(profile, seed, name="table1", dataset="celebamask_hq", title=title, published=PUBLISHED)


if __name__ == "__main__":
    main(table)
