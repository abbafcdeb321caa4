"""ImageNet (Deng et al., CVPR 2009) for MT-Diffusion, Tables 5 to 7: labels and masked images."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from datamodules.images import imagenet_labels as class_ids
from datamodules.images.folder import FolderFiles, Listing, list_images, number_of
from datamodules.images.labeled import LabeledDataModule
from datamodules.storage.data_files import Decoder
from datamodules.storage.listing import require_images
from datamodules.storage.reading import read_image
from lightning_mmdiff.errors import MissingFileError, UserError

OFFICIAL_CLASSES, OFFICIAL_COUNTS = 1000, (1_281_167, 50_000)
SAMPLE = 100  # images whose size is checked before packing

LAYOUT = f"""\
  train/{{n01440764,...}}/*.JPEG
  val/{{n01440764,...}}/*.JPEG     or val/*.JPEG and one of the next three
  {class_ids.LABEL_FILE}                 "ILSVRC2012_val_00000001 n01751748" a line
  {class_ids.KAGGLE_FILE}           Kaggle's
  {class_ids.DEVKIT}/data/{{ILSVRC2012_validation_ground_truth.txt,meta.mat}}
  {class_ids.NAME_FILE}         optional: "n01440764 tench, Tinca tinca" a line, names for figures
  captions.json                  optional: {{"train/n01440764/n01440764_18.JPEG": "a caption", ...}}"""


class ImageNetFolderFiles(FolderFiles):
    """Photographs of any size in class folders; class k is the k-th wnid in sorted order."""

    label_file: Path | None = None  # tells the classes of validation images that lie in one folder

    def __init__(self, root: Path) -> None:
        super().__init__(root, train="train", test="val", layout=LAYOUT)
        counts = (self.num_train, self.num_test)
        if len(self.wnids) == OFFICIAL_CLASSES and counts != OFFICIAL_COUNTS:
            raise MissingFileError(
                f"{root}: found {counts[0]:,} images to train and {counts[1]:,} to validate, expected "
                f"{OFFICIAL_COUNTS[0]:,} and {OFFICIAL_COUNTS[1]:,}. Fetch the rest; a part of ImageNet used on purpose "
                f"must have fewer than {OFFICIAL_CLASSES:,} classes."
            )
        self.classes = self.optional("names", lambda: class_ids.read_names(root, self.wnids)) or self.wnids

    def list_test(self, folder: Path, wnids: list[str], layout: str) -> Listing:
        """Return the validation images from class folders, or from one folder with a file that gives their classes."""
        flat = list_images(folder)
        if not flat:
            return super().list_test(folder, wnids, layout)
        require_images(folder, sorted(map(number_of, flat)), root=folder.parent, layout=layout)
        self.label_file = class_ids.label_file(folder.parent)
        classes: Listing = {}
        for path, wnid in zip(flat, class_ids.val_wnids(folder.parent, [path.stem for path in flat], layout)):
            classes.setdefault(wnid, []).append(path)
        return classes

    def paths(self) -> Iterable[Path]:
        """Return the images, the caption file and the file that tells the classes of validation images, if they exist."""
        return [*super().paths(), *([self.label_file] if self.label_file else [])]

    def decoder(self, size: int) -> Decoder:
        """Enlarge small images as ADM does, but raise UserError if most of the first 100 are too small."""
        first = [path for _, path in self.items[:SAMPLE]]
        small = [path for path in first if min(read_image(path).size) < size]
        if 2 * len(small) > len(first):
            raise UserError(
                f"{self.root}: {len(small)} of the first {len(first)} images have fewer than the {size} pixels asked for, "
                f"such as {small[0]}; lower image_size."
            )
        return super().decoder(size)

    def reduced(self, path: Path, image: Image.Image, size: int) -> Image.Image:
        """Return the center of the image, cropped as ADM does."""
        return center_crop(image, size)


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """Return the center square of an image, made as ADM makes its training images.

    Halve the image by averaging while its shorter side is at least twice ``size``, resize that side to ``size`` by
    bicubic interpolation (a smaller image grows), and crop the longer side.
    """
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


class ImageNet(LabeledDataModule):
    """1,281,167 training and 50,000 test photographs of 1,000 classes, cropped as ADM does."""

    layout = LAYOUT

    def files(self) -> ImageNetFolderFiles:
        """Return the photographs in their class folders."""
        return ImageNetFolderFiles(self.root)
