"""ImageNet's class ids: of validation images that lie in one folder, and of the downsampled arrays."""

import csv
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from datamodules.storage import listing, text
from datamodules.storage.reading import some
from lightning_mmdiff.errors import MissingFileError, UserError

LABEL_FILE = "val_labels.txt"
KAGGLE_FILE = "LOC_val_solution.csv"
DEVKIT = "ILSVRC2012_devkit_t12"
TRUTH_FILE = f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt"
META_FILE = f"{DEVKIT}/data/meta.mat"
MAP_FILE = "map_clsloc.txt"
NAME_FILE = "LOC_synset_mapping.txt"
WNID = re.compile(r"n\d{8}")

Named = list[tuple[str, str]]
"""Pairs of an image and its wnid."""


def val_wnids(root: Path, names: list[str], layout: str) -> list[str]:
    """Return the wnid of each validation image, from the first label file found below ``root``.

    Args:
        root: folder of the data set.
        names: file names without suffix, such as ``ILSVRC2012_val_00000001``.
        layout: expected layout, for the error message.

    Raises:
        MissingFileError: if there is no label file.
        UserError: naming the file and the row, if it is damaged or lacks an image.
    """
    path = label_file(root)
    if path is None:
        raise MissingFileError(
            f"{root}/val: the images lie in one folder, but no file tells their classes. Add {LABEL_FILE}, {KAGGLE_FILE} "
            f"or {DEVKIT}/, or move the images into class folders. {listing.expected(root, layout)}"
        )
    found = READERS[str(path.relative_to(root))](path)
    wnid_of = dict(found)
    if len(wnid_of) < len(found):
        raise UserError(f"{path}: has {len(found)} rows about {len(wnid_of)} images; expected one row for each.")
    missing = [name for name in names if name not in wnid_of]
    if missing:
        raise UserError(f"{path}: tells no class for {some(missing)} of {len(names)} images; fetch it again.")
    return [wnid_of[name] for name in names]


def label_file(root: Path) -> Path | None:
    """Return the file that tells the classes of the validation images, or None if there is none."""
    return next((root / name for name in READERS if (root / name).is_file()), None)


def read_map(path: Path) -> list[str]:
    """Return the wnids in ``map_clsloc.txt`` (lines such as "n02119789 1 kit_fox") by label, label 1 first."""
    wnids = {}
    for number, row in text.rows(path):
        wnid, label, *_ = *re.split(r"[\s,;:]+", row), ""
        if not WNID.fullmatch(wnid) or not text.is_number(label):
            raise text.wrong_row(path, number, row, 'a wnid, its label and a name, such as "n02119789 1 kit_fox"')
        wnids[int(label)] = wnid
    if sorted(wnids) != list(range(1, len(wnids) + 1)) or len(set(wnids.values())) != len(wnids):
        raise UserError(f"{path}: expected the labels 1 to {len(wnids)} and as many wnids, each once; fetch it again.")
    return [wnids[label] for label in range(1, len(wnids) + 1)]


def read_names(root: Path, wnids: Iterable[str]) -> list[str] | None:
    """Return the first English name of each class, the wnid for lack of one; None if there is no file of names."""
    path = root / NAME_FILE
    if not path.exists():
        return None
    word = {}
    for number, row in text.rows(path):
        wnid, _, words = re.sub(r"[\s,;:]+", " ", row, count=1).partition(" ")
        if not WNID.fullmatch(wnid) or not words:
            raise text.wrong_row(path, number, row, 'a wnid and its names, such as "n01440764 tench, Tinca tinca"')
        word[wnid] = words.split(",")[0].strip()
    return [word.get(wnid, wnid) for wnid in wnids]


def _read_pairs(path: Path) -> Named:
    """Read rows of an image and its wnid in any order, or of the wnids alone, in the order of the images."""
    found: Named = []
    for number, row in text.rows(path):
        words = re.split(r"[\s,;:]+", row)
        wnids = [word for word in words if WNID.fullmatch(word)]
        names = [word for word in words if not WNID.fullmatch(word)]
        if number == 1 and not re.search(r"\d", row):
            continue  # a heading
        if len(wnids) != 1 or len(names) > 1:
            raise text.wrong_row(
                path, number, row, 'an image and its wnid, such as "ILSVRC2012_val_00000001 n01751748"'
            )
        found.append((Path(names[0]).stem if names else _name(len(found) + 1), wnids[0]))
    return found


def _read_kaggle(path: Path) -> Named:
    """Read rows ``ILSVRC2012_val_00048981,n03995372 85 1 499 272``: image, then class and box of each object."""
    rows = text.rows(path)
    heading = rows[0][1] if rows else ""
    split = next((mark for mark in ",;\t" if mark in heading), ",")
    columns = next(csv.reader([heading], delimiter=split), [])
    if not {"ImageId", "PredictionString"} <= set(columns):
        raise UserError(f"{path}: its first row is {heading!r}, expected ImageId,PredictionString; fetch it again.")
    found: Named = []
    for number, row in rows[1:]:
        values = dict.fromkeys(columns, "") | dict(zip(columns, next(csv.reader([row], delimiter=split))))
        wnid, *_ = *values["PredictionString"].split(), ""
        if not values["ImageId"] or not WNID.fullmatch(wnid):
            raise text.wrong_row(path, number, row, "an image and the class and box of each object")
        found.append((Path(values["ImageId"]).stem, wnid))
    return found


def _read_devkit(path: Path) -> Named:
    """Read the development kit: line k of the ground truth is the ILSVRC2012_ID of image k; meta.mat has its wnid."""
    from scipy.io import loadmat  # needed only here

    meta = path.with_name(Path(META_FILE).name)
    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        wnid_of = {str(int(synset["ILSVRC2012_ID"])): str(synset["WNID"]) for synset in synsets}
    except Exception as error:  # whatever scipy makes of a damaged file
        raise UserError(f"{meta}: cannot be read as the kit's table of classes ({error}); fetch it again.") from error
    found: Named = []
    for number, row in text.rows(path):
        if row not in wnid_of:
            raise text.wrong_row(path, number, row, f"the number of a class, 1 to {len(wnid_of)}")
        found.append((_name(len(found) + 1), wnid_of[row]))
    return found


def _name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}"


READERS: dict[str, Callable[[Path], Named]] = {
    LABEL_FILE: _read_pairs,
    KAGGLE_FILE: _read_kaggle,
    TRUTH_FILE: _read_devkit,
}
"""Reader of each label file, the first that exists is read."""
