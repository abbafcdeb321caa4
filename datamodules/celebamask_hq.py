"""CelebA-HQ (Karras et al., ICLR 2018) with the masks of CelebAMask-HQ (Lee et al., CVPR 2020) or without."""

from datamodules.faces.celebamask_hq_files import LAYOUT, CelebAMaskHQFiles
from datamodules.faces.module import FaceDataModule


class CelebAMaskHQ(FaceDataModule):
    """30,000 faces with 19-class label maps; with captions where their files are there."""

    layout = LAYOUT

    def files(self) -> CelebAMaskHQFiles:
        """Return images and masks; each image must have a mask."""
        return CelebAMaskHQFiles(self.root)


class CelebAHQ(FaceDataModule):
    """The same 30,000 faces; masks are neither needed nor looked at."""

    layout = LAYOUT
    pack_suffix = "-images"

    def files(self) -> CelebAMaskHQFiles:
        """Return the images."""
        return CelebAMaskHQFiles(self.root, label_maps=False)
