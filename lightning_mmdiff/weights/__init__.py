"""Published weight files: the table, their locations, their download."""

from lightning_mmdiff.weights.find import ENVIRONMENT_VARIABLE, candidates, damage, digest, entry, find, require
from lightning_mmdiff.weights.table import WEIGHTS, FolderFile, Weight

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
    "require",
]
