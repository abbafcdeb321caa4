"""Published weight files: the table, their locations, their download."""

from lightning_mmdiff.weights.find import (
    ENVIRONMENT_VARIABLE,
    candidates,
    damage,
    digest,
    entry,
    find,
    is_page,
    require,
)
from lightning_mmdiff.weights.table import WEIGHTS
from lightning_mmdiff.weights.weight import FolderFile, Weight

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "WEIGHTS",
    "FolderFile",
    "Weight",
    "candidates",
    "damage",
    "digest",
    "entry",
    "find",
    "is_page",
    "require",
]
