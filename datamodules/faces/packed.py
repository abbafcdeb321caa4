"""A face data set decoded once into memory-mapped arrays, by default in ``<root>/.packed/<size>px``.

See ``decoding.py`` for how a face is read and reduced.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from datamodules.faces.captions import CaptionKind
from datamodules.faces.decoding import FaceDecoder
from datamodules.faces.files import ANNOTATIONS, FaceFiles
from datamodules.storage.data_files import fill_rows
from datamodules.storage.packing import link, new_array, pack_once, read_fingerprint, read_index, read_packed
from datamodules.storage.rows import CompressedWriter, Rows
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import read_text, write_json

logger = logging.getLogger(__name__)

VERSION = 2  # of the packed format; data of another version is packed again
PIXELS = ("images", "sketches", "label_maps")


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The opened arrays of N images of S x S pixels."""

    folder: Path
    names: list[str]  # N file names
    numbers: list[int]  # N image numbers, ascending
    total: int  # images a gapless numbering would have
    official_split: list[str] | None  # "train", "val" or "test" for each image
    images: Rows  # uint8 [N, 3, S, S] RGB
    sketches: Rows  # uint8 [N, 1, S, S], 255 on edges
    label_maps: Rows | None  # uint8 [N, S, S], class ids
    original_label_maps: Rows | None  # uint8 [N, L, L], as they are on disk
    attributes: Rows | None  # int8 [N, 40], 0 or 1
    captions: tuple[str, ...]  # kinds on disk, see ``read_captions``

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the folder, so that a worker process maps the files again instead of receiving a copy."""
        return open_packed, (self.folder,)

    def read_captions(self, kind: str) -> dict[str, list[str]]:
        """Return image name -> captions of one kind, in the order of its file."""
        return json.loads(read_text(self.folder / "captions.json"))[kind]


def open_packed(folder: Path) -> Packed:
    """Memory-map the arrays that ``pack`` has written."""
    index, arrays = read_packed(folder)
    fields = ("names", "numbers", "total", "official_split")
    return Packed(
        folder=folder,
        captions=tuple(index["captions"]),
        **{field: index[field] for field in fields},
        **{name: arrays.get(name) for name in (*PIXELS, "attributes")},  # type: ignore[arg-type]
        original_label_maps=arrays.get("original_label_maps", arrays.get("label_maps")),  # one array if L = S
    )


def pack(files: FaceFiles, *, image_size: int, folder: Path, check: Callable[[], None] = lambda: None) -> bool:
    """Pack ``files`` into ``folder`` unless it already holds them; return whether anything was packed.

    Args:
        files: the data set.
        image_size: height and width in pixels.
        folder: folder of the packed data.
        check: called before anything is packed; after it, damaged optional files are left out with a warning.

    Raises:
        ValueError: naming every damaged, misshapen or mislabeled file (up to 20).
        OSError: if the folder cannot be written or the disk is too full.
    """

    def write(temporary: Path, made_from: dict[str, Any]) -> None:
        check()
        annotations = _readable(files)  # before the pixels, which take long
        reuse = _same_pixels(folder, made_from["fingerprint"])
        pixels = _link_pixels(reuse, temporary) if reuse else _write_pixels(files, image_size, temporary)
        _write_rest(files, annotations, temporary, pixels, made_from)

    return pack_once(folder, files, VERSION, write)


def _same_pixels(folder: Path, fingerprint: dict[str, Any]) -> Path | None:
    """Return ``folder`` if its arrays are still valid and only captions, attributes or splits have changed."""
    old = read_fingerprint(folder) or {}
    return folder if all(old.get(key) == fingerprint[key] for key in ("version", "pixels")) else None


def _write_pixels(files: FaceFiles, size: int, folder: Path) -> dict[str, Any]:
    """Decode every face; return the entries of the index that name what was written."""
    decode, count = FaceDecoder(files, size), len(files.numbers)
    shapes: dict[str, tuple[int, ...]] = {"images": (count, 3, size, size), "sketches": (count, 1, size, size)}
    if files.has_label_maps:
        shapes["label_maps"] = (count, size, size)
    arrays: dict[str, Any] = {name: new_array(folder / f"{name}.npy", shape) for name, shape in shapes.items()}
    compressed: dict[str, tuple[int, ...]] = {}
    if files.has_label_maps and decode.label_side != size:
        compressed["original_label_maps"] = (count, decode.label_side, decode.label_side)
    arrays |= {name: CompressedWriter(folder / f"{name}.zlib", shape) for name, shape in compressed.items()}
    fill_rows(arrays, lambda row: decode(files.numbers[row]), count, f"packing {files.root.name} at {size} px")
    for array in arrays.values():
        array.flush()
    return {"arrays": list(shapes), "compressed": compressed}


def _link_pixels(old: Path, folder: Path) -> dict[str, Any]:
    """Take over the arrays of ``old``; return the entries of the index that name them."""
    index = read_index(old)
    kept = {"arrays": [name for name in index["arrays"] if name in PIXELS], "compressed": index["compressed"]}
    for path in (path for name in (*kept["arrays"], *kept["compressed"]) for path in old.glob(f"{name}.*")):
        link(path, folder / path.name)
    return kept


def _readable(files: FaceFiles) -> dict[str, Any]:
    """Return the contents of the optional text files that exist and are not damaged."""
    found = {}
    for thing in ANNOTATIONS:
        try:
            found[thing] = files.annotation(thing)
        except UserError as error:
            logger.warning("Left out, since nothing here needs it: %s", error)
    return {thing: value for thing, value in found.items() if value is not None}


def _write_rest(
    files: FaceFiles, annotations: dict[str, Any], folder: Path, pixels: dict[str, Any], made_from: dict[str, Any]
) -> None:
    """Write the attributes, the captions and, last, the index."""
    extra = []
    if "attributes" in annotations:
        np.save(folder / "attributes.npy", annotations["attributes"])
        extra.append("attributes")
    captions = {kind: annotations[kind] for kind in get_args(CaptionKind) if annotations.get(kind)}
    write_json(folder / "captions.json", captions)
    names = [files.name(number) for number in files.numbers]
    index = {
        **made_from,
        "count": len(names),
        "total": files.total,
        **pixels,
        "arrays": [*pixels["arrays"], *extra],
        "captions": list(captions),
        "names": names,
        "numbers": files.numbers,
        "official_split": annotations.get("official"),
    }
    write_json(folder / "index.json", index)
