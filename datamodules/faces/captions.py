"""Face captions on disk: CelebA-Dialog, the form that Collaborative Diffusion derived from it, Multi-Modal-CelebA-HQ."""

import json
from pathlib import Path
from typing import Any, Literal

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


def read_all(root: Path, names: list[str]) -> dict[str, dict[str, list[str]]]:
    """Return kind -> image name -> captions, for the images ``names`` and each kind found below ``root``.

    "celeba-dialog" is the overall caption; "beard-and-age" is the lower-case one Collaborative Diffusion was trained on.
    """
    known = set(names)
    found = {kind: _read_dialog(root, kind, known) for kind in ("celeba-dialog", "beard-and-age")}
    found["mm-celeba"] = _read_mm(root, names)
    return {kind: captions for kind, captions in found.items() if captions}


def _read_dialog(root: Path, kind: Literal["celeba-dialog", "beard-and-age"], known: set[str]) -> dict[str, list[str]]:
    path = next((root / place for place in CAPTION_PLACES[kind] if (root / place).is_file()), None)
    if path is None:
        return {}
    try:
        entries = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}); fetch this file again.") from error
    texts = ((name, caption_of(entry, kind)) for name, entry in entries.items() if name in known)
    return {name: [text] for name, text in texts if text}


def caption_of(entry: dict[str, Any], kind: Literal["celeba-dialog", "beard-and-age"]) -> str:
    """Return the caption in one entry of a CelebA-Dialog file, "" if it has none.

    Args:
        entry: {"overall_caption": ..., "attribute_wise_captions": {...}} or {"Beard_and_Age": ...}.
        kind: which caption; an entry of the derived form has only one.
    """
    if "Beard_and_Age" in entry:
        return (entry["Beard_and_Age"] or "").lower()
    if kind == "celeba-dialog":
        return entry.get("overall_caption") or ""
    sentences = entry.get("attribute_wise_captions") or {}
    return " ".join(sentences[key] for key in ("No_Beard", "Young") if sentences.get(key)).lower()


def _read_mm(root: Path, names: list[str]) -> dict[str, list[str]]:
    folder = next((root / folder for folder in MM_FOLDERS if (root / folder).is_dir()), None)
    if folder is None:
        return {}
    paths = ((name, folder / f"{Path(name).stem}.txt") for name in names)
    return {name: _read_lines(path) for name, path in paths if path.is_file()}


def _read_lines(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if len(lines) != MM_LINES:
        raise UserError(f"{path}: has {len(lines)} captions, expected {MM_LINES}, one a line; fetch this file again.")
    return lines
