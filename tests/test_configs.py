"""Every config refuses wrong names where it is made, each combination that would fail or mislead later too."""

import dataclasses
import importlib
import inspect
import pkgutil
import subprocess
import sys
from typing import Literal, get_type_hints

import pytest

import datamodules
import experiments
import lightning_mmdiff
from lightning_mmdiff.configs import Config, choices_of
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.schedules import Sampler

NO_CONFIGS = {"MetricResult", "Finding", "People", "CityscapesSplit", "RegimeBatches", "Workspace"}
"""What was measured, found or drawn, and what is made of a config."""


def dataclasses_of_the_packages() -> list[type]:
    """Every dataclass that a module of the packages defines, but for ``__main__`` files, which run when imported."""
    found: dict[type, None] = {}
    for package in (lightning_mmdiff, datamodules, experiments):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                names = vars(importlib.import_module(module.name)).values()
                found |= dict.fromkeys(n for n in names if isinstance(n, type) and dataclasses.is_dataclass(n))
    return [c for c in found if c.__module__.split(".")[0] in ("lightning_mmdiff", "datamodules", "experiments")]


def fields_with_choices(config: type) -> dict[str, tuple]:
    hints = get_type_hints(config)
    found = {field.name: choices_of(hints[field.name]) for field in dataclasses.fields(config)}
    return {name: choices for name, choices in found.items() if choices}


def with_choices() -> list[type]:
    """Those that can be made and have a field with choices; tyro checks the flags of a command line."""
    made = [c for c in dataclasses_of_the_packages() if not inspect.isabstract(c) and not c.__name__.endswith("Flags")]
    return [c for c in made if fields_with_choices(c) and c.__name__ not in NO_CONFIGS]


@pytest.mark.parametrize("config", with_choices(), ids=lambda config: config.__name__)
def test_every_literal_of_every_config_refuses_a_wrong_value(config: type) -> None:
    """The check comes first in ``__post_init__``, so the other fields may be empty here."""
    for wrong in fields_with_choices(config):
        made = object.__new__(config)
        for field in dataclasses.fields(config):
            object.__setattr__(made, field.name, None)
        for name, choices in fields_with_choices(config).items():
            object.__setattr__(made, name, "nonsense" if name == wrong else choices[0])
        with pytest.raises(UserError, match=rf"{config.__name__} has {wrong}='nonsense'; expected one of "):
            made.__post_init__()


def test_the_walk_finds_the_configs() -> None:
    names = {config.__name__ for config in with_choices()}
    assert {"Sampler", "DenoiserConfig", "Label", "InfluenceConfig", "TrainerConfig", "TrainRun", "Metric"} <= names


@pytest.mark.parametrize(("name", "meant"), [("DDIM", "ddim"), ("dimm", "ddim"), ("dpm", "ddpm")])
def test_a_typo_gets_the_nearest_name(name: str, meant: str) -> None:
    with pytest.raises(
        UserError, match=f"^Sampler has name='{name}'; expected one of ddpm, .*; did you mean '{meant}'\\?$"
    ):
        Sampler(name=name, num_steps=10)
    with pytest.raises(UserError, match="did you mean 'released"):
        InfluenceConfig(schedule="relesed")
    with pytest.raises(UserError, match="spaced-ddpm, spaced-ddim.$"):
        Sampler(name="euler", num_steps=10)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example(Config):
    either: Literal["a", "b"] | None = None
    several: tuple[Literal["a", "b"], ...] = ()
    free: str | None = None
    number: int | None = 3


def test_unions_with_none_and_tuples_of_literals() -> None:
    assert choices_of(Literal["a"] | Literal["b"] | None) == ("a", "b", None)
    assert choices_of(tuple[str, ...] | None) == choices_of(Literal["a"] | str) == choices_of(int | None) == ()
    Example(either="b", several=("a", "b", "a"), free="z")
    for wrong in ({"either": "c"}, {"several": ("a", "c")}):
        with pytest.raises(UserError, match="expected one of a, b"):
            Example(**wrong)


def test_configs_stay_plain_values() -> None:
    assert Example(either="a") == Example(either="a") != Example()
    assert hash(Example(either="a")) == hash(Example(either="a"))
    assert repr(Example()) == "Example(either=None, several=(), free=None, number=3)"


def test_the_base_imports_no_torch() -> None:
    code = "import sys, lightning_mmdiff.configs; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
