"""The base class of every config: frozen, keyword-only dataclasses that reject invalid values on creation."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lightning_mmdiff.errors import UserError, did_you_mean


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
                    listed, hint = ", ".join(map(str, choices)), did_you_mean(item, filter(None, choices))
                    raise UserError(f"{config.__name__} has {name}={value!r}; expected one of {listed}{hint}")

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


def as_json(value: Any) -> Any:
    """Return nested dataclasses as plain JSON values, each with its type name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **{f.name: as_json(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, tuple | list):
        return [as_json(v) for v in value]
    return value


def from_json(expected: Any, value: Any) -> Any:
    """Return the config or plain value that JSON describes; the inverse of ``as_json``.

    Args:
        expected: annotation of the value; objects are of a dataclass in it, or of a subclass.
        value: JSON value. Fields that it lacks have their defaults.

    Raises:
        UserError: if an object is of no known type, or has a field that its type lacks.
    """
    if isinstance(value, list):
        parts = [part for part in get_args(expected) if part is not Ellipsis] or [expected]
        return tuple(from_json(expected if len(parts) > 1 else parts[0], item) for item in value)
    if not isinstance(value, dict):
        return value
    known = {kind.__name__: kind for kind in _kinds(expected)}
    name = value.get("type")
    if name not in known:
        raise UserError(f"A config is of type {name!r}; import the module that defines it{did_you_mean(name, known)}")
    hints, names = get_type_hints(known[name]), {field.name for field in fields(known[name])}
    if unknown := value.keys() - names - {"type"}:
        raise UserError(f"{name} has no field {', '.join(sorted(unknown))}: it was written by another version.")
    return known[name](**{key: from_json(hints[key], item) for key, item in value.items() if key != "type"})


def _kinds(expected: Any) -> Iterator[Any]:
    """Yield the dataclasses in an annotation, and their subclasses."""
    for part in get_args(expected):
        yield from _kinds(part)
    if isinstance(expected, type) and dataclasses.is_dataclass(expected):
        yield expected
        for kind in expected.__subclasses__():
            yield from _kinds(kind)
