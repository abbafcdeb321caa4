"""Face captions on disk: CelebA-Dialog, the form that Collaborative Diffusion derived from it, Multi-Modal-CelebA-HQ."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from datamodules.storage import listing, text
from lightning_mmdiff.errors import UserError

CaptionKind = Literal["celeba-dialog", "beard-and-age", "mm-celeba"]

DIALOG_FILES = ("captions_hq.json", "text/captions_hq.json")
DERIVED_FILES = tuple(
    f"{folder}captions_hq_beard_and_age{date}.json" for folder in ("", "text/") for date in ("_2022-08-19", "")
)
MM_FOLDERS = ("text/celeba-caption", "celeba-caption")
MM_LINES = 10  # captions per image in Multi-Modal-CelebA-HQ

CAPTION_PLACES: dict[CaptionKind, tuple[str, ...]] = {
    "celeba-dialog": (*DIALOG_FILES, *DERIVED_FILES),
    "beard-and-age": (*DERIVED_FILES, *DIALOG_FILES),
    "mm-celeba": MM_FOLDERS,
}  # kind -> places where it is looked for, first match wins


def caption_files(root: Path) -> list[Path]:
    """Return the caption files below ``root``."""
    files = [root / place for place in (*DIALOG_FILES, *DERIVED_FILES) if (root / place).is_file()]
    return files + [path for folder in MM_FOLDERS for path in sorted((root / folder).glob("*.txt"))]


def read(root: Path, kind: CaptionKind, names: Mapping[int, str]) -> dict[str, list[str]] | None:
    """Return image name -> captions in the order of the file, or None if there are no captions of this kind.

    Args:
        root: folder of the data set.
        kind: "celeba-dialog" is the overall caption; "beard-and-age" is the lower-case one Collaborative Diffusion was
            trained on.
        names: image number -> image name; captions of other images are left out.

    Raises:
        UserError: naming the file and the entry, if one is damaged.
    """
    path = next((root / place for place in CAPTION_PLACES[kind] if (root / place).exists()), None)
    if path is None:
        return None
    found = _of_folder(path, names) if kind == "mm-celeba" else _of_file(path, kind)
    return {names[number]: captions for number, captions in found.items() if number in names and captions}


def _of_file(path: Path, kind: CaptionKind) -> dict[int, list[str]]:
    """Read one JSON file: image -> entry."""
    entries = text.by_number(path, text.entries(path, 'an object such as {"0.jpg": {"overall_caption": ...}}').items())
    derived = path.name in {Path(place).name for place in DERIVED_FILES}
    found = {}
    for number, entry in entries.items():
        try:
            found[number] = captions_of(entry, kind, derived=derived)
        except UserError as error:
            raise UserError(f"{path}: the entry of image {number} {error}.") from error
    return found


def captions_of(entry: Any, kind: CaptionKind, *, derived: bool) -> list[str]:
    """Return the captions in one entry of a CelebA-Dialog file, [] if it has none.

    Args:
        entry: {"overall_caption": ..., "attribute_wise_captions": {...}} or {"Beard_and_Age": ...}; or the caption
            itself, a list of captions, or null.
        kind: which caption; an entry of the derived form has only one.
        derived: whether the file is of the derived form, so that a plain caption is of beard and age.

    Raises:
        UserError: if it is anything else; its message continues "The entry ...".
    """
    if entry is None:
        return []
    if isinstance(entry, str | list):
        if kind == "beard-and-age" and not derived:
            raise UserError("is a plain caption; beard-and-age needs attribute_wise_captions")
        listed = [entry] if isinstance(entry, str) else entry
        return [_caption(value).lower() if derived else _caption(value) for value in listed if value]
    if not isinstance(entry, dict):
        raise UserError(f"is a {type(entry).__name__}; expected captions")
    if "Beard_and_Age" in entry:
        caption = _caption(entry["Beard_and_Age"]).lower()
    elif kind == "celeba-dialog":
        caption = _caption(entry.get("overall_caption"))
    else:
        sentences = entry.get("attribute_wise_captions") or {}
        if not isinstance(sentences, dict):
            raise UserError(f"has attribute_wise_captions of type {type(sentences).__name__}; expected an object")
        chosen = (_caption(sentences.get(key)) for key in ("No_Beard", "Young"))
        caption = " ".join(sentence for sentence in chosen if sentence).lower()
    return [caption] if caption else []


def _caption(value: Any) -> str:
    """Return a caption, "" for null."""
    if not isinstance(value, str | None):
        raise UserError(f"has a caption of type {type(value).__name__}; expected text")
    return value or ""


def _of_folder(folder: Path, names: Mapping[int, str]) -> dict[int, list[str]]:
    """Read a folder with a text file of ten lines for each image."""
    paths = listing.numbered(listing.files(folder, (".txt",)))
    return {number: _lines(paths[number]) for number in names if number in paths}


def _lines(path: Path) -> list[str]:
    lines = [line for _, line in text.rows(path)]
    if len(lines) != MM_LINES:
        raise UserError(f"{path}: has {len(lines)} captions, expected {MM_LINES}, one a line; fetch this file again.")
    return lines
