"""The base class of every config: frozen, keyword-only dataclasses that reject invalid values on creation."""

import difflib
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lightning_mmdiff.errors import UserError


class Config:
    """Base config that rejects values not listed in a field's Literal.

    A subclass with its own checks calls ``super().__post_init__()`` first in its ``__post_init__``. The helpers below check
    numbers, and every number of a tuple; they accept None.
    """

    def __post_init__(self) -> None:
        config: Any = type(self)
        for name, choices in _fields_with_choices(config):
            value = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                if item not in choices:
                    listed = ", ".join(map(str, choices))
                    raise UserError(
                        f"{config.__name__} has {name}={value!r}; expected one of {listed}{_hint(item, choices)}"
                    )

    def _positive(self, *names: str) -> None:
        """Reject numbers that are not above 0."""
        self._require(lambda number: number > 0, "a number above 0", *names)

    def _at_least(self, low: int, *names: str) -> None:
        """Reject numbers below ``low``."""
        self._require(lambda number: number >= low, f"at least {low}", *names)

    def _filled(self, *names: str) -> None:
        """Reject empty tuples."""
        for name in names:
            if getattr(self, name) == ():
                raise UserError(f"{type(self).__name__} has {name}=(); expected one entry or more.")

    def _shares(self, *names: str) -> None:
        """Reject numbers outside [0, 1]."""
        self._require(lambda number: 0 <= number <= 1, "a number in [0, 1]", *names)

    def _decays(self, *names: str) -> None:
        """Reject numbers outside [0, 1): decay rates of a running average."""
        self._require(lambda number: 0 <= number < 1, "a number in [0, 1)", *names)

    def _multiples(self, divisor: int, *names: str) -> None:
        """Reject numbers that are not positive multiples of ``divisor``."""
        self._require(lambda number: number > 0 and number % divisor == 0, f"multiples of {divisor}", *names)

    def _require(self, fits: Callable[[Any], bool], expected: str, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            items = value if isinstance(value, tuple) else (value,)
            if not all(item is None or fits(item) for item in items):
                raise UserError(f"{type(self).__name__} has {name}={value!r}; expected {expected}.")


def choices_of(hint: Any) -> tuple[Any, ...]:
    """Return the values allowed by an annotation: a Literal, a union of Literals and None, or a tuple of these; otherwise ()."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return parts
    if origin not in (Union, UnionType, tuple):
        return ()
    options = [(None,) if part is NoneType else choices_of(part) for part in parts if part is not Ellipsis]
    return tuple(choice for option in options for choice in option) if all(options) else ()


@cache
def _fields_with_choices(config: Any) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Return the name and choices of each dataclass field that has choices; resolved once per class."""
    hints = get_type_hints(config)
    found = ((field.name, choices_of(hints[field.name])) for field in fields(config))
    return tuple((name, choices) for name, choices in found if choices)


def _hint(value: Any, choices: tuple[Any, ...]) -> str:
    """Return the end of the sentence, suggesting the choice closest to ``value`` if there is one."""
    names = {str(choice).lower(): str(choice) for choice in choices if choice is not None}
    nearest = difflib.get_close_matches(str(value).lower(), names, n=1)
    return f"; did you mean {names[nearest[0]]}?" if nearest else "."
