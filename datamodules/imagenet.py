"""ImageNet (Deng et al., CVPR 2009) for MT-Diffusion, Tables 5 to 7: labels, masked images."""

from datamodules.images.imagenet_files import ARRAY_LAYOUT, FOLDER_LAYOUT, DownsampledFiles, ImageNetFolderFiles
from datamodules.images.labelled import LabelledDataModule


class ImageNet(LabelledDataModule):
    """1,281,167 photographs of 1,000 classes to train on, 50,000 to test on; cropped as ADM does."""

    layout = FOLDER_LAYOUT

    def files(self) -> ImageNetFolderFiles:
        """Return the photographs in their class folders."""
        return ImageNetFolderFiles(self.root)


class DownsampledImageNet(LabelledDataModule):
    """The same images, squeezed to 64 or 32 pixels by others. FID against ADM's statistics is biased: those are crops."""

    layout = ARRAY_LAYOUT
    pack_suffix = "-squeezed"

    def files(self) -> DownsampledFiles:
        """Return the arrays."""
        return DownsampledFiles(self.root)
