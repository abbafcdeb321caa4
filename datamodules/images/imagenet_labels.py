"""ImageNet's class ids: of validation images that lie in one folder, and of the downsampled arrays."""

import csv
from pathlib import Path

from datamodules.storage.reading import some
from lightning_mmdiff.errors import MissingFileError, UserError

LABEL_FILE = "val_labels.txt"
KAGGLE_FILE = "LOC_val_solution.csv"
DEVKIT = "ILSVRC2012_devkit_t12"
TRUTH_FILE = f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt"
META_FILE = f"{DEVKIT}/data/meta.mat"
MAP_FILE = "map_clsloc.txt"
NAME_FILE = "LOC_synset_mapping.txt"


def val_wnids(root: Path, names: list[str], layout: str) -> list[str]:
    """Return the wnid of each validation image, from the first label file found below ``root``.

    Args:
        root: folder of the data set.
        names: file names without suffix, such as ``ILSVRC2012_val_00000001``.
        layout: expected layout, for the error message.

    Raises:
        MissingFileError: if there is no label file.
        UserError: if the label file lacks an image.
    """
    if (root / LABEL_FILE).is_file():
        path, wnid_of = root / LABEL_FILE, _read_pairs(root / LABEL_FILE)
    elif (root / KAGGLE_FILE).is_file():
        path, wnid_of = root / KAGGLE_FILE, _read_kaggle(root / KAGGLE_FILE)
    elif (root / TRUTH_FILE).is_file():
        path, wnid_of = root / TRUTH_FILE, _read_devkit(root)
    else:
        raise MissingFileError(
            f"{root}/val: the images lie in one folder, but no file tells their classes. Add {LABEL_FILE}, {KAGGLE_FILE} "
            f"or {DEVKIT}/, or move the images into class folders. Expected this layout:\n{layout}"
        )
    missing = [name for name in names if name not in wnid_of]
    if missing:
        raise UserError(f"{path}: tells no class for {some(missing)} of {len(names)} images; fetch it again.")
    return [wnid_of[name] for name in names]


def read_map(path: Path) -> list[str]:
    """Return the wnids in ``map_clsloc.txt`` (lines such as "n02119789 1 kit_fox") by label, label 1 first."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    wnids = {int(row[1]): row[0] for row in rows}
    if sorted(wnids) != list(range(1, len(rows) + 1)) or len(set(wnids.values())) != len(rows):
        raise UserError(f"{path}: expected the labels 1 to {len(rows)} and as many wnids, each once; fetch it again.")
    return [wnids[label] for label in range(1, len(rows) + 1)]


def read_names(root: Path, wnids: list[str]) -> list[str]:
    """Return the first English name of each class if the mapping file exists, otherwise the wnid."""
    path = root / NAME_FILE
    if not path.is_file():
        return wnids
    rows = (line.split(" ", 1) for line in path.read_text().splitlines() if " " in line)
    word = {wnid: words.split(",")[0].strip() for wnid, words in rows}
    return [word.get(wnid, wnid) for wnid in wnids]


def _read_pairs(path: Path) -> dict[str, str]:
    rows = (line.split() for line in path.read_text().splitlines() if line.strip())
    return {Path(row[0]).stem: row[1] for row in rows}


def _read_kaggle(path: Path) -> dict[str, str]:
    """Read rows ``ILSVRC2012_val_00048981,n03995372 85 1 499 272``: image, then class and box of each object."""
    with path.open(newline="") as file:
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}


def _read_devkit(root: Path) -> dict[str, str]:
    """Read the development kit: line k of the ground truth is the ILSVRC2012_ID of image k; meta.mat has its wnid."""
    from scipy.io import loadmat  # needed only here

    synsets = loadmat(root / META_FILE, squeeze_me=True)["synsets"]
    wnid = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets}
    numbers = [int(line) for line in (root / TRUTH_FILE).read_text().split()]
    return {f"ILSVRC2012_val_{k:08d}": wnid[number] for k, number in enumerate(numbers, 1)}
