"""An entry of the table of published files."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FolderFile:
    """File in a folder."""

    file: str
    sha256: str
    size: int  # bytes


@dataclass(frozen=True, kw_only=True)
class Weight:
    """Released weight file, or a folder of them."""

    name: str  # name in the code
    file: str  # exact file name, the same under MMDIFF_WEIGHTS and in the default place
    purpose: str  # use of the file
    source: str  # where to get it by hand
    license: str
    sha256: str = ""  # hexadecimal; at least the first digits (torch hub: the end of the file name); "" if unknown
    size: int | None = None  # bytes; None if unknown
    about: int | None = None  # bytes of its parameters, where the size is unknown
    url: str = ""  # direct download; "" if the file must be fetched by hand
    hub_id: str = ""  # owner/name, for the folder of a Hugging Face model
    converts: bool = (
        False  # whether ``python -m lightning_mmdiff.released`` knows it; runs then read its converted form too
    )
    members: tuple[FolderFile, ...] = ()  # the files of that folder

    @property
    def bytes(self) -> int | None:
        """Bytes to store, at least about; None if unknown."""
        return sum(m.size for m in self.members) or self.size or self.about
