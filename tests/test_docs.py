"""The pages of docs/ against the code: commands parse, worked examples run, links and references lead somewhere."""

import importlib
import re
import shlex
import tomllib
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import pytest
import tyro
from test_readme import REFERENCE, TABLES, blocks, defined, flags_of

from datamodules.prepare import prepare
from experiments.__main__ import list_tables
from experiments.core.cluster import Cluster, read_cluster
from experiments.engine.cli import TableFlags
from reports.__main__ import command as reports_command

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))


def commands(page: Path) -> list[list[str]]:
    """Words of every ``python -m`` command of a page."""
    text = page.read_text()
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", text)
    return [shlex.split(line, comments=True) for line in lines if line.startswith("python -m")]


COMMANDS = [words for page in DOCS if page.name != "extending.md" for words in commands(page)]
"""Those of extending.md need the files that the page adds: ``test_extending.py`` runs them."""


def parser_of(words: list[str]) -> tuple[Callable, list[str]]:
    """What reads the arguments of a command, and the arguments."""
    module, arguments = words[2], words[3:]
    if module == "reports":
        return reports_command(arguments)
    functions = {"datamodules.prepare": prepare, "experiments": list_tables, "lightning_mmdiff.weights": lambda: None}
    if module in functions:
        return functions[module], arguments
    if module == "slurm":
        return getattr(importlib.import_module("slurm.__main__"), arguments[0]), arguments[1:]
    if module in TABLES:
        importlib.import_module(module)
        return TableFlags, arguments
    if module == "lightning_mmdiff.released":
        return flags_of(f"{module}.__main__"), arguments
    return flags_of(module), arguments


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_parses(words: list[str]) -> None:
    function, arguments = parser_of(words)
    if isinstance(function, type):
        tyro.cli(function, args=arguments)
        return

    @wraps(function)
    def do_nothing(*_args, **_options) -> None: ...

    tyro.cli(do_nothing, args=arguments)


def test_the_cluster_file_of_the_page_is_one(tmp_path: Path) -> None:
    (text,) = blocks((ROOT / "docs" / "cluster.md").read_text(), "toml")
    (tmp_path / "cluster.toml").write_text(text)
    assert set(tomllib.loads(text)) <= set(Cluster.__dataclass_fields__)
    assert read_cluster(tmp_path / "cluster.toml").partition == "gpu"


@pytest.mark.parametrize("page", DOCS, ids=lambda p: p.name)
def test_references_and_links_exist(page: Path) -> None:
    text = page.read_text()
    for file, name in REFERENCE.findall(text):
        assert (ROOT / file).is_file(), file
        assert not name or name in defined(ROOT / file), f"{file}:{name}"
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve()
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, target


def test_pages_are_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in DOCS:
        assert f"(docs/{page.name})" in readme, page.name
