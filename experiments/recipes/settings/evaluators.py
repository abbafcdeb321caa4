"""Training lengths of the models that measure or condition where no published network does."""

from dataclasses import dataclass

from experiments.recipes.settings.training import Length, in_fifths
from experiments.spec import Profile
from lightning_mmdiff.configs import Config


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Length of each training; None uses a published network with local weights (``lightning_mmdiff/weights``)."""

    face_parser: Length | None
    attributes: Length | None
    """Length for the classifier of attributes that captions mention."""
    face_captions: Length | None
    """Length for the image-text model of faces, in the role of FaRL."""
    object_captions: Length | None
    """Length for the image-text model of objects, in the role of FaRL or CLIP."""


PAPER = Settings(face_parser=None, attributes=None, face_captions=None, object_captions=None)
MINI = Settings(
    face_parser=in_fifths(500, batch_size=32),
    attributes=in_fifths(600, batch_size=64),
    face_captions=in_fifths(600, batch_size=128),
    object_captions=in_fifths(400, batch_size=128),
)
SMOKE = Settings(
    face_parser=in_fifths(4, batch_size=4),
    attributes=in_fifths(4, batch_size=4),
    face_captions=in_fifths(4, batch_size=8),
    object_captions=in_fifths(4, batch_size=8),
)


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": PAPER, "mini": MINI, "smoke": SMOKE}[profile]
