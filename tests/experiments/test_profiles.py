"""Profiles are data: nobody asks for a profile's name, and every setting is read."""

import ast
import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from experiments import INDEX
from experiments.recipes import settings
from experiments.spec import Profile

ROOT = Path(__file__).parents[2] / "experiments"
FILES = [*(ROOT / "recipes").glob("*.py"), *(ROOT / f"{entry.name}.py" for entry in INDEX)]
PROFILES: tuple[Profile, ...] = ("smoke", "mini", "paper")
MODULES = [
    importlib.import_module(f"{settings.__name__}.{module.name}") for module in pkgutil.iter_modules(settings.__path__)
]
PAPERS = [module for module in MODULES if hasattr(module, "of")]


def branches(tree: ast.AST) -> Iterator[ast.expr]:
    """Every comparison of ``profile``, every match on it, every look-up by it in a dictionary."""
    for node in ast.walk(tree):
        found: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            found = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            found = [node.subject]
        elif isinstance(node, ast.Subscript):
            found = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            found = node.args
        yield from (part for part in found if isinstance(part, ast.Name) and part.id == "profile")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_recipe_and_no_table_asks_for_the_name_of_a_profile(path: Path) -> None:
    lines = [branch.lineno for branch in branches(ast.parse(path.read_text()))]
    assert not lines, f"{path}, lines {lines}: make it a field of the paper's settings in experiments/recipes/settings"


@pytest.mark.parametrize(
    "code",
    ['profile == "paper"', '"mini" != profile', 'profile in ("mini",)', "STEPS[profile]", "STEPS.get(profile)",
     "match profile:\n    case 'mini': pass"],
)  # fmt: skip
def test_a_branch_is_seen(code: str) -> None:
    assert len(list(branches(ast.parse(code)))) == 1


def nested(value: object) -> Iterator[type]:
    """Classes of settings in ``value``, its own and those of its fields."""
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith(settings.__name__):
        yield type(value)
        for field in dataclasses.fields(value):
            yield from nested(getattr(value, field.name))


def test_every_setting_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the tables are made at all profiles; ``vars`` counts as reading all fields."""
    classes = {cls for module in PAPERS for profile in PROFILES for cls in nested(module.of(profile))}
    read: set[tuple[type, str]] = set()

    def recorded(self: object, name: str) -> object:
        read.add((type(self), name))
        return object.__getattribute__(self, name)

    for cls in classes:
        monkeypatch.setattr(cls, "__getattribute__", recorded)
    for entry in INDEX:
        for profile in PROFILES:
            importlib.import_module(f"experiments.{entry.name}").table(profile, 0)
    monkeypatch.undo()
    fields = {
        (cls, field.name) for cls in classes for field in dataclasses.fields(cls) if (cls, "__dict__") not in read
    }
    assert {f"{cls.__name__}.{name}" for cls, name in fields - read} == set()
    assert len(classes) > 10


@pytest.mark.parametrize("module", PAPERS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_each_paper_has_its_three_settings(module: ModuleType) -> None:
    assert [module.of(profile) for profile in PROFILES] == [module.SMOKE, module.MINI, module.PAPER]
    assert len({module.SMOKE, module.MINI, module.PAPER}) == 3
    assert all(cls.__dataclass_params__.frozen for cls in nested(module.PAPER))  # type: ignore[attr-defined]
