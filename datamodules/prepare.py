"""Checks a data set, packs it and says what is there.

python -m datamodules.prepare celebamask_hq --root /data/CelebAMask-HQ --image-size 256 --captions celeba-dialog
python -m datamodules.prepare imagenet --root /data/imagenet --image-size 64
python -m datamodules.prepare mini_faces --root data/mini_faces --image-size 32
"""

import sys
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from datamodules.celebamask_hq import CelebAMaskHQ
from datamodules.cifar10 import CIFAR10
from datamodules.cityscapes import Cityscapes
from datamodules.digits import Digits
from datamodules.faces.captions import CaptionKind
from datamodules.faces.module import FaceDataModule
from datamodules.ffhq import FFHQ
from datamodules.imagenet import ImageNet
from datamodules.images.downsampled_imagenet import DownsampledImageNet
from datamodules.images.module import ArrayDataModule
from datamodules.mini.image_layouts import write_cityscapes, write_digits, write_imagenet, write_night2day
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq
from datamodules.night2day import Night2Day
from lightning_mmdiff.errors import UserError

FACES: dict[str, type[FaceDataModule]] = {"celebamask_hq": CelebAMaskHQ, "ffhq": FFHQ}
OTHERS: dict[str, type[ArrayDataModule]] = {
    "imagenet": ImageNet,
    "imagenet_downsampled": DownsampledImageNet,
    "cifar10": CIFAR10,
    "cityscapes": Cityscapes,
    "night2day": Night2Day,
    "digits": Digits,
    "mini_objects": ImageNet,
    "mini_streets": Cityscapes,
    "mini_night2day": Night2Day,
}
WRITERS = {"mini_objects": write_imagenet, "mini_streets": write_cityscapes, "mini_night2day": write_night2day}

DataSet = Literal[
    "celebamask_hq", "ffhq", "mini_faces", "imagenet", "imagenet_downsampled", "cifar10", "cityscapes", "night2day",
    "digits", "mini_objects", "mini_streets", "mini_night2day",
]  # fmt: skip


def prepare(
    data_set: tyro.conf.Positional[DataSet],
    /,
    *,
    root: Path,
    image_size: int,
    captions: CaptionKind | None = None,
    split: Literal["paper", "official"] = "paper",
    cache: Path | None = None,
    count: int = 4000,
    seed: int = 0,
) -> None:
    """Check and pack a data set; rendered images (mini_...) and the digits are written first.

    Args:
        data_set: which one.
        root: its folder; mini_faces makes ``CelebAMask-HQ`` and ``ffhq`` in it.
        image_size: pixels.
        captions: captions that must be there (celebamask_hq).
        split: which images to test on (faces).
        cache: folder for the packed data where ``root`` is read-only.
        count: rendered faces of each domain, or other rendered images to train on.
        seed: of the rendered images.
    """
    common: dict[str, Any] = {"image_size": image_size, "batch_size": 1, "cache": cache}
    rendered = {"count": count, "image_size": image_size, "seed": seed}
    if data_set == "mini_faces":
        write_celebamask_hq(root / "CelebAMask-HQ", **rendered)
        write_ffhq(root / "ffhq", **rendered)
        _show(CelebAMaskHQ(root=root / "CelebAMask-HQ", captions=captions, split=split, **common))
        _show(FFHQ(root=root / "ffhq", split=split, **common))
    elif data_set in FACES:
        _show(FACES[data_set](root=root, captions=captions, split=split, **common))
    else:
        if data_set in WRITERS:
            WRITERS[data_set](root, **rendered)
        elif data_set == "digits":
            write_digits(root)
        _show(OTHERS[data_set](root=root, **common))


def _show(module: FaceDataModule | ArrayDataModule) -> None:
    module.prepare_data()
    module.setup()
    Console().print(face_summary(module) if isinstance(module, FaceDataModule) else summary(module))


def face_summary(module: FaceDataModule) -> Table:
    """Return what a prepared set of faces holds."""
    packed = module.train.packed
    table = Table("", "", title=f"{module.root}", show_header=False)
    table.add_row("images", f"{len(packed.names):,} ({packed.names[0]} to {packed.names[-1]}), all readable and square")
    table.add_row("train / test", f"{len(module.train):,} / {len(module.test):,} ({module.split} split)")
    table.add_row("label maps", "no" if packed.label_maps is None else "yes")
    table.add_row("attributes", "no" if packed.attributes is None else "yes")
    table.add_row("captions", ", ".join(packed.captions) or "no")
    if module.excluded:
        table.add_row("left out, no caption", ", ".join(module.excluded))
    table.add_row("packed", _place(packed.folder))
    return table


def summary(module: ArrayDataModule) -> Table:
    """Return what another prepared data set holds."""
    packed = module.train.packed
    table = Table("", "", title=f"{module.root}", show_header=False)
    table.add_row("train / test", f"{packed.num_train:,} / {packed.num_test:,}, all readable")
    if packed.classes is not None:
        known = ", ".join(packed.classes[:10])
        table.add_row("classes", f"{len(packed.classes):,}: {known}{' ...' if len(packed.classes) > 10 else ''}")
    table.add_row("captions", "no" if packed.captions is None else "yes")
    table.add_row("arrays", ", ".join(f"{name} {list(array.shape)}" for name, array in packed.arrays.items()))
    table.add_row("packed", _place(packed.folder))
    return table


def _place(folder: Path) -> str:
    megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    return f"{folder}, {megabytes:,.1f} MiB"


if __name__ == "__main__":
    try:
        tyro.cli(prepare)
    except (OSError, UserError) as error:
        sys.exit(f"{error}")
