"""Errors that the user can fix. Every other exception is a bug and keeps its traceback."""


class UserError(ValueError):
    """A mistake that the user can fix. Its message is one sentence: what was found, what was expected, what to do."""


class MissingFileError(UserError, FileNotFoundError):
    """A missing file that the user can provide."""


class UnmeasurableError(UserError):
    """Samples that a metric cannot measure; their row says so in place of a number."""
