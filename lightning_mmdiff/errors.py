"""Errors that a person can mend. Every other exception is a fault of ours and keeps its traceback."""


class UserError(ValueError):
    """A mistake that the reader of its message can mend: one sentence of what was found, what was expected, what to do."""


class MissingFileError(UserError, FileNotFoundError):
    """A file that is not there and that the reader of the message can provide."""
