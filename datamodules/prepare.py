"""Checks a data set, packs it and says what is there.

python -m datamodules.prepare celebamask_hq --root /data/CelebAMask-HQ --image-size 256 --captions celeba-dialog
python -m datamodules.prepare mini_faces --root data/mini_faces --image-size 32
"""

import sys
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.table import Table

from datamodules.captions import CaptionKind
from datamodules.celebamask_hq import CelebAMaskHQ
from datamodules.faces import FaceDataModule
from datamodules.ffhq import FFHQ
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq

DataSet = Literal["celebamask_hq", "ffhq", "mini_faces"]


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
    """Check and pack a data set; rendered faces are written first.

    Args:
        data_set: which one.
        root: its folder; mini_faces makes ``CelebAMask-HQ`` and ``ffhq`` in it.
        image_size: pixels.
        captions: captions that must be there (celebamask_hq).
        split: which images to test on.
        cache: folder for the packed data where ``root`` is read-only.
        count: rendered faces of each domain (mini_faces).
        seed: of the rendered faces (mini_faces).
    """
    common = {"image_size": image_size, "batch_size": 1, "split": split, "cache": cache}
    modules: list[FaceDataModule] = []
    if data_set == "mini_faces":
        write_celebamask_hq(root / "CelebAMask-HQ", count=count, image_size=image_size, seed=seed)
        write_ffhq(root / "ffhq", count=count, image_size=image_size, seed=seed)
        modules.append(CelebAMaskHQ(root=root / "CelebAMask-HQ", captions=captions, **common))  # type: ignore[arg-type]
        modules.append(FFHQ(root=root / "ffhq", **common))  # type: ignore[arg-type]
    elif data_set == "celebamask_hq":
        modules.append(CelebAMaskHQ(root=root, captions=captions, **common))  # type: ignore[arg-type]
    else:
        modules.append(FFHQ(root=root, captions=captions, **common))  # type: ignore[arg-type]
    for module in modules:
        module.prepare_data()
        module.setup()
        Console().print(summary(module))


def summary(module: FaceDataModule) -> Table:
    """Return what a prepared data set holds."""
    packed = module.train.packed
    megabytes = sum(path.stat().st_size for path in packed.folder.iterdir()) / 2**20
    table = Table("", "", title=f"{module.root}", show_header=False)
    table.add_row("images", f"{len(packed.names):,} ({packed.names[0]} to {packed.names[-1]}), all readable and square")
    table.add_row("train / test", f"{len(module.train):,} / {len(module.test):,} ({module.split} split)")
    table.add_row("label maps", "no" if packed.label_maps is None else "yes")
    table.add_row("attributes", "no" if packed.attributes is None else "yes")
    table.add_row("captions", ", ".join(packed.captions) or "no")
    if module.excluded:
        table.add_row("left out, no caption", ", ".join(module.excluded))
    table.add_row("packed", f"{packed.folder}, {megabytes:,.1f} MiB")
    return table


if __name__ == "__main__":
    try:
        tyro.cli(prepare)
    except (OSError, ValueError) as error:
        sys.exit(f"{error}")
