"""Errors that the user can fix. Every other exception is a bug and keeps its traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake that the user can fix. Its message is one sentence: what was found, what was expected, what to do."""


class MissingFileError(UserError, FileNotFoundError):
    """A missing file that the user can provide."""


class UnmeasurableError(UserError):
    """Samples that a metric cannot measure; their row says so in place of a number."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the closest known one as a suggestion, or just a period."""
    names = {str(other).lower(): str(other) for other in known}
    nearest = get_close_matches(str(name).lower(), names, n=1)
    return f"; did you mean {names[nearest[0]]!r}?" if nearest else "."


def require_known(what: str, name: object, known: Iterable[str]) -> None:
    """Raise UserError, suggesting the closest known name, if ``name`` is not among ``known``."""
    names = tuple(known)
    if name not in names:
        raise UserError(f"Unknown {what} {name!r}: choose from {', '.join(names)}{did_you_mean(name, names)}")
