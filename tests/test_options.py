"""Misspelled options and choices."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
import tyro

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.options import check_options


@dataclass(frozen=True, kw_only=True)
class Flags:
    profile: Literal["mini", "paper"] = "mini"
    with_notebook: bool = True
    seeds: int = 1


def command(flags: Annotated[Flags, tyro.conf.arg(name="")]) -> None: ...


def function(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (), *, profile: Literal["mini", "paper"] = "mini"
) -> None: ...


@pytest.mark.parametrize("reader", [Flags, command])
def test_what_is_right_is_left_alone(reader) -> None:
    words = "table1 --profile paper --profile=mini --no-with-notebook --with_notebook --seeds -1 --help"
    check_options(reader, words.split())
    check_options(function, ["names", "--profile", "mini"])


def test_positional_words_are_no_options() -> None:
    with pytest.raises(UserError, match="choose from --profile, --help"):
        check_options(function, ["--names", "x"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profil", "mini"], "Unknown option '--profil'.*did you mean '--profile'"),
        (["--sedes=3"], "did you mean '--seeds'"),
        (["--profile", "papr"], "Unknown profile 'papr': choose from mini, paper; did you mean 'paper'"),
        (["--profile=minni"], "did you mean 'mini'"),
    ],
)
def test_what_is_wrong_is_answered_with_the_nearest_name(words, said) -> None:
    with pytest.raises(UserError, match=said):
        check_options(command, words)
