"""FFHQ (Karras et al., CVPR 2019), with label maps where a face parser has written them."""

from datamodules.faces.ffhq_files import LAYOUT, FFHQFiles
from datamodules.faces.module import FaceDataModule


class FFHQ(FaceDataModule):
    """70,000 faces, of which the paper split trains on 0 to 26,999 and tests on 27,000 to 29,999 (our choice)."""

    layout = LAYOUT

    def files(self) -> FFHQFiles:
        """Return images and, if there, label maps."""
        return FFHQFiles(self.root)
