"""Names of files as people have them: stray numbers, gaps, other encodings, and files that may not be read."""

import os
import shutil
from pathlib import Path

import pytest
from test_imagenet import WNIDS
from test_layouts import SETS, refused
from tiny_sets import make_celeba

from datamodules.celebamask_hq import CelebAHQ
from datamodules.cityscapes import Cityscapes
from datamodules.imagenet import ImageNet
from datamodules.night2day import Night2Day
from datamodules.storage import listing
from lightning_mmdiff.errors import MissingFileError


def test_one_stray_number_is_named_without_counting_up_to_it(tmp_path) -> None:
    """A photo named by its time, 20231127 or more, took all memory."""
    root = make_celeba(tmp_path / "faces")
    shutil.copy(root / "CelebA-HQ-img" / "3.jpg", root / "CelebA-HQ-img" / "231127184501.jpg")
    message = r"missing 4, 5, 6, 7, 8 and 231127184491 more\. .*, or move image 231127184501 away if it is none of them"
    refused(CelebAHQ, root, message)


def test_gaps_that_are_known_do_not_count(tmp_path) -> None:
    root = make_celeba(tmp_path / "faces", count=9)
    numbers = [0, 1, 3, 8]
    assert listing.require_images(root, numbers, root=root, layout="", known_gaps=frozenset({2, 4, 5, 6, 7, 9})) == 9
    with pytest.raises(MissingFileError, match=r"make 9; missing 4, 6, 7\. The download is incomplete: .*\.$"):
        listing.require_images(root, numbers, root=root, layout="", known_gaps=frozenset({2, 5, 9}))


@pytest.mark.parametrize(
    ("module", "folder"),
    [(ImageNet, f"train/{WNIDS[0]}"), (Night2Day, "train"), (Cityscapes, "gtFine/val/minitown")],
)  # fmt: skip
def test_names_that_are_not_utf8_are_named(tmp_path, module, folder) -> None:
    root = SETS[module](tmp_path / "set")
    first = sorted((root / folder).iterdir())[0]
    if module is Cityscapes:
        for place in (root / "leftImg8bit" / "val" / "minitown", root / folder):
            os.rename(place, os.fsencode(place.parent) + b"/\xe9")
    else:
        shutil.copy(first, os.fsencode(root / folder) + b"/\xe9_99999" + os.fsencode(first.suffix))
    refused(module, root, r"holds files whose names are not UTF-8, '.*udce9.*; rename them")


def test_what_may_not_be_read_is_to_be_made_readable(tmp_path, monkeypatch) -> None:
    root = make_celeba(tmp_path / "faces")
    opening = Path.open

    def denied(path: Path, *args, **settings):
        if path.name == "2.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return opening(path, *args, **settings)

    monkeypatch.setattr(Path, "open", denied)
    refused(CelebAHQ, root, r"2.jpg: cannot be read \(Permission denied\); make it readable for you\.")
