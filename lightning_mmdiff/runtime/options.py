"""Misspelled options and choices of a command, answered with the nearest name before the command line is read."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

import tyro

from lightning_mmdiff.errors import require_known

ALWAYS = ("help", "tyro-print-completion", "tyro-write-completion")
"""Options of every command."""


def check_options(command: Any, words: Sequence[str]) -> None:
    """Look at the options among ``words``; what is right, and words that are no options, are left to the command line's reader.

    Args:
        command: what the options are made from: a dataclass, a function, or a function of such ``flags``.
        words: words after the name of the command.

    Raises:
        UserError: for the first option that the command lacks, or whose value is none of its choices.
    """
    kinds = _kinds(command)
    known = [f"--{name}" for name in (*kinds, *ALWAYS)]
    for word, after in zip(words, [*words[1:], ""]):
        if not word.startswith("--") or word == "--":
            continue
        given, equals, value = word.partition("=")
        option = given.replace("_", "-")
        require_known("option", option, known)
        kind, value = kinds.get(option[2:]), value if equals else after
        if get_origin(kind) is Literal and value:
            require_known(option[2:], value, get_args(kind))


def _kinds(command: Any) -> dict[str, Any]:
    """Return option -> type."""
    marked = get_type_hints(command, include_extras=True)
    positional = {name for name, kind in marked.items() if tyro.conf.Positional in getattr(kind, "__metadata__", ())}
    hints = {name: kind for name, kind in get_type_hints(command).items() if name not in ("return", *positional)}
    if dataclasses.is_dataclass(hints.get("flags")):
        return _kinds(hints["flags"])
    kinds = {name.replace("_", "-"): kind for name, kind in hints.items()}
    return kinds | {f"no-{name}": kind for name, kind in kinds.items() if kind is bool}
