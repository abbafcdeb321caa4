"""Base data module of the face data sets: packing, splits, captions.

A batch is a dict, see ``FaceSplit.batch``. Conditions that were not requested are absent.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, get_args

from datamodules.base import PackedDataModule
from datamodules.faces.captions import CaptionKind
from datamodules.faces.classes import CONDITIONS, LABEL_CONDITIONS
from datamodules.faces.decoding import FaceDecoder
from datamodules.faces.files import ANNOTATIONS, FaceFiles
from datamodules.faces.packed import VERSION, Packed, open_packed, pack
from datamodules.faces.split import FaceSplit, Split, num_test, split_rows
from datamodules.storage.data_files import open_rows
from datamodules.storage.listing import expected
from datamodules.storage.packing import is_current
from datamodules.storage.reading import some
from lightning_mmdiff.errors import MissingFileError, UserError, require_known

logger = logging.getLogger(__name__)


class FaceDataModule(PackedDataModule):
    """A face data set at one size with selected conditions.

    Args:
        root: folder of the data set.
        image_size: height and width in pixels.
        batch_size: rows of a training batch over all processes.
        conditions: any of "mask" (all 19 classes), "mask_picture" (their colors), "hair", "skin", "face_parts", "sketch",
            "attributes", "caption".
        seed: seed of the order of the training images, the mirroring and the choice among captions.
        flip: whether to mirror half of the training images.
        split: "paper", "official", "reduced" or "validation", see ``split_rows``.
        captions: kind of captions; the order of their file then defines the split, as in Collaborative Diffusion.
        label_size: height and width in pixels of the conditions made of classes, read from the label maps at the size of
            their files; None reads them at ``image_size``.
        num_workers: number of processes that assemble batches; 0 is right for packed data that fits into memory.
        cache: folder for the packed data if ``root`` is read-only; ``<root>/.packed`` by default.
    """

    train: FaceSplit
    test: FaceSplit
    known_conditions = CONDITIONS
    options: ClassVar[tuple[str, ...]] = ("captions", "split", "label_size")

    def __init__(
        self,
        *,
        root: Path,
        image_size: int,
        batch_size: int,
        conditions: tuple[str, ...] = (),
        seed: int = 0,
        flip: bool = False,
        split: Split = "paper",
        captions: CaptionKind | None = None,
        label_size: int | None = None,
        num_workers: int = 0,
        cache: Path | None = None,
    ) -> None:
        super().__init__(
            root=root, image_size=image_size, batch_size=batch_size, conditions=conditions, seed=seed, flip=flip,
            num_workers=num_workers, cache=cache,
        )  # fmt: skip
        self.check_options(conditions, captions=captions, split=split, label_size=label_size)
        self.split, self.captions, self.label_size = split, captions, label_size
        self.excluded: list[str] = []  # images left out for lack of a caption

    @classmethod
    def check_options(cls, conditions: tuple[str, ...], **options: Any) -> None:
        """Raise UserError for an unknown split or kind of captions, or if captions are needed but not chosen."""
        if "split" in options:
            require_known("split", options["split"], get_args(Split))
        if options.get("captions") is not None:
            require_known("kind of captions", options["captions"], get_args(CaptionKind))
        elif "caption" in conditions:
            raise UserError("Condition 'caption' needs captions='celeba-dialog', 'beard-and-age' or 'mm-celeba'.")
        if (size := options.get("label_size")) is not None:
            if size < 1:
                raise UserError(f"label_size is {size}; expected at least 1 pixel.")
            if not set(conditions) & set(LABEL_CONDITIONS):
                raise UserError(
                    f"label_size={size} is the size of conditions made of classes ({', '.join(LABEL_CONDITIONS)}), but "
                    f"the conditions are {list(conditions)}: leave it out."
                )

    @abstractmethod
    def files(self) -> FaceFiles:
        """Return the files below ``root``, listed and checked for gaps."""

    def check(self) -> FaceFiles:
        """Return the files after opening the text files that this configuration needs; of images, read the names only."""
        files = self._listed()
        self._open(files, [thing for thing, _ in self._needs()])
        return files

    def pack(self, fits: Callable[[FaceFiles], None]) -> None:
        """Check the files and pack them unless their present content is packed already; ``fits`` may refuse them before."""
        files, needs = self._listed(), [thing for thing, _ in self._needs()]
        fits(files)
        pack(files, image_size=self.image_size, folder=self.folder, check=lambda: self._open(files, needs))
        self._open(files, self._absent(open_packed(self.folder)))  # says why it was left out

    def is_packed(self, files: FaceFiles) -> bool:
        """Return whether the files are packed and none has changed since."""
        return is_current(self.folder, files, VERSION)

    def open_some(self, files: FaceFiles, most: int) -> int:
        """Read up to ``most`` faces with their label maps as packing does; return how many."""
        decode = FaceDecoder(files, self.image_size)
        return open_rows(lambda row: decode(files.numbers[row]), len(files), most, self.root.name)

    def num_test(self, files: FaceFiles) -> int:
        """Return the number of test images; one without a caption counts."""
        if self.split == "official":
            return (files.official_split() or []).count("test")
        return num_test(len(files.numbers), files.total)

    def _listed(self) -> FaceFiles:
        """Return the files after checking that something lies in the place of everything that is needed."""
        files = self.files()
        for thing, why in self._needs():
            places = files.places().get(thing, ())
            if not any((self.root / place).exists() for place in places):
                looked = f"looked for {' or '.join(places)} there" if places else "this data set has none"
                raise MissingFileError(f"{self.root}: {why}; {looked}. {expected(self.root, self.layout)}")
        return files

    def _open(self, files: FaceFiles, things: Iterable[str]) -> None:
        """Read those of ``things`` that are optional text files, and check that captions are complete."""
        for thing in (thing for thing in things if thing in ANNOTATIONS):
            found = files.annotation(thing)
            if thing == self.captions:
                self._without_caption([files.name(number) for number in files.numbers], found or {})

    def setup(self, stage: str | None = None) -> None:
        """Memory-map the packed arrays and split them."""
        packed = open_packed(self.folder)
        self.require_expected()
        for why in self._absent(packed).values():
            raise MissingFileError(f"{self.folder}: {why}, but was packed without; call prepare_data() again.")
        texts = packed.read_captions(self.captions) if self.captions else None
        order = self._captioned_rows(packed, texts) if texts is not None else list(range(len(packed.names)))
        parts = []
        for rows in split_rows(packed, self.split, order):
            captions = [texts[packed.names[row]] for row in rows] if texts is not None else None
            parts.append(
                FaceSplit(
                    packed=packed, rows=rows, conditions=self.conditions, captions=captions, label_size=self.label_size
                )
            )
        self.train, self.test = parts

    def _needs(self) -> Iterator[tuple[str, str]]:
        """Yield the optional items that this configuration requires, each with the reason."""
        labeled = [name for name in self.conditions if name in (*LABEL_CONDITIONS, "mask_picture")]
        if labeled:
            yield "label_map", f"condition {some(labeled)} needs label maps"
        if "attributes" in self.conditions:
            yield "attributes", "condition attributes needs the attribute file"
        if self.captions:
            yield self.captions, f"captions={self.captions!r} needs their files"
        if self.split == "official":
            yield "official", "split='official' needs the file that defines it"

    def _absent(self, packed: Packed) -> dict[str, str]:
        """Return the required items that were packed without, each with the reason why it is required."""
        there = {"label_map": packed.label_maps is not None, "attributes": packed.attributes is not None}
        there |= {"official": packed.official_split is not None} | dict.fromkeys(packed.captions, True)
        return {thing: why for thing, why in self._needs() if not there.get(thing)}

    def _without_caption(self, names: list[str], texts: Collection[str]) -> list[str]:
        """Return the images that have no caption; UserError if more than one in a thousand have none."""
        excluded = [name for name in names if name not in texts]
        if len(excluded) > max(1, len(names) // 1000):
            raise UserError(
                f"{self.root}: found {self.captions} captions of {len(texts)} of {len(names)} images, none for "
                f"{some(excluded)}; the caption files are incomplete, fetch them again."
            )
        return excluded

    def _captioned_rows(self, packed: Packed, texts: dict[str, Any]) -> list[int]:
        """Return the rows with a caption in the order of the captions; record and log the images without one."""
        row_of = {name: row for row, name in enumerate(packed.names)}
        self.excluded = self._without_caption(packed.names, texts)
        if self.excluded:
            logger.warning("%s: left out, without a caption: %s", self.root, ", ".join(self.excluded))
        return [row_of[name] for name in texts]
