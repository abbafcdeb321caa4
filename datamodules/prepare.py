"""Check a data set, pack it and print a summary.

python -m datamodules.prepare celebamask_hq --root /data/CelebAMask-HQ --image-size 256 --captions celeba-dialog
python -m datamodules.prepare imagenet --root /data/imagenet --image-size 64
python -m datamodules.prepare ffhq --root data/mini/ffhq --image-size 32 --render 4000    # small rendered images
"""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from datamodules.catalogue import DATA_SETS
from datamodules.config import DataConfig
from datamodules.faces.captions import CaptionKind
from datamodules.faces.module import FaceDataModule
from datamodules.faces.split import Split
from datamodules.images.module import ArrayDataModule
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.commands import readable_end

NAMES = ", ".join(entry.name for entry in DATA_SETS)


def prepare(
    data_set: Annotated[str, tyro.conf.Positional, tyro.conf.arg(help=f"One of {NAMES}.")],
    /,
    *,
    root: Path,
    image_size: int,
    captions: CaptionKind | None = None,
    split: Split = "paper",
    cache: Path | None = None,
    render: int = 0,
) -> None:
    """Check and pack a data set, after rendering small images in its layout if requested.

    Args:
        data_set: name of the data set.
        root: folder of the data set.
        image_size: height and width in pixels.
        captions: kind of captions that must exist (celebamask_hq).
        split: which images to test on (faces).
        cache: folder for the packed data if ``root`` is read-only.
        render: number of training images to render if the folder does not exist yet.
    """
    config = DataConfig(dataset=data_set, image_size=image_size, captions=captions, split=split)
    entry = config.data_set
    if render:
        if entry.render is None:
            raise UserError(f"{entry.name} has no rendered stand-in: leave --render out and get the real data.")
        entry.render(root, count=render, image_size=image_size)
    module = entry.module(root=root, image_size=image_size, batch_size=1, cache=cache, **config.options)
    module.prepare_data()
    module.setup()
    if isinstance(module, FaceDataModule):
        Console().print(face_summary(module))
    elif isinstance(module, ArrayDataModule):
        Console().print(summary(module))


def face_summary(module: FaceDataModule) -> Table:
    """Return a summary of a prepared face data set."""
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
    """Return a summary of any other prepared data set."""
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
    with readable_end():
        tyro.cli(prepare, prog="python -m datamodules.prepare")
