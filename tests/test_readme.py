"""The Markdown files against the code: commands parse, snippets run, tables are complete, references exist."""

import ast
import importlib
import re
import shlex
import subprocess
import tomllib
from dataclasses import replace
from functools import wraps
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import tyro

from datamodules.faces import classes as face_classes
from datamodules.faces.module import FaceDataModule
from datamodules.prepare import prepare
from experiments import INDEX
from experiments.core import build
from experiments.engine.cli import TableFlags, main
from experiments.recipes import unite_and_conquer as recipes
from experiments.runs import TrainRun
from experiments.spec import Profile
from lightning_mmdiff.configs import as_json
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.weights import WEIGHTS
from reports.__main__ import command as reports_command

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()
MOVED = ("tables", "runs", "numbers", "data", "weights", "own-models", "state")
"""Pages of docs/ whose commands are checked as the README's are."""
TEXT = "\n".join([README, *((ROOT / "docs" / f"{page}.md").read_text() for page in MOVED)])
OWN = (ROOT / "docs" / "own-models.md").read_text()
MOST_WORDS = 1000
PAGES = ("README.md", "PITFALLS.md", "CONTRIBUTING.md", "CHANGELOG.md")
REFERENCE = re.compile(r"`([\w./]+\.py)(?::([\w.]+))?`")


def blocks(text: str, language: str) -> list[str]:
    """Code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(prefix: str) -> list[list[str]]:
    """Words of every command in the pages that starts with ``prefix``: lines of code blocks, and code in the text."""
    lines = [line for block in blocks(TEXT, "bash") for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", TEXT)
    found = [shlex.split(line, comments=True) for line in lines if line.startswith(prefix) and "<" not in line]
    assert found, f"no page has a command {prefix}"
    return found


TABLES = {f"experiments.{entry.name}" for entry in INDEX}


def flags_of(module: str) -> type:
    """The class of a command's flags."""
    (name,) = (n for n in vars(importlib.import_module(module)) if n.endswith("Flags"))
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("words", [w for w in commands("python -m experiments.") if w[2] in TABLES], ids=" ".join)
def test_every_table_command_plans_its_runs(words: list[str], capsys: pytest.CaptureFixture) -> None:
    flags = tyro.cli(TableFlags, args=words[3:])
    main(importlib.import_module(words[2]).table, replace(flags, launcher="dry-run"))
    assert "sample " in capsys.readouterr().out


@pytest.mark.parametrize("prefix", ["python -m datamodules.prepare", "python -m reports"])
def test_every_other_command_parses(prefix: str) -> None:
    """Those whose arguments are a function's; below those whose arguments are a class of flags."""
    for words in commands(prefix):
        function, arguments = reports_command(words[3:]) if words[2] == "reports" else (prepare, words[3:])

        @wraps(function)
        def do_nothing(*_args, **_options) -> None: ...

        tyro.cli(do_nothing, args=arguments)


@pytest.mark.parametrize("words", [w for w in commands("python -m experiments.") if w[2] not in TABLES], ids=" ".join)
def test_every_command_about_tables_parses(words: list[str]) -> None:
    tyro.cli(flags_of(words[2]), args=words[3:])


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / page).read_text()
    named = {line.split()[1] for b in blocks(text, "bash") for line in b.splitlines() if line.startswith("make ")}
    named |= set(re.findall(r"`make ([\w-]+)`", text))
    assert named
    assert named <= targets


@pytest.mark.parametrize("entry", INDEX, ids=lambda e: e.name)
def test_the_index_is_in_the_list_of_tables(entry) -> None:
    page = (ROOT / "docs" / "tables.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(f"| `python -m experiments.{entry.name}`")]
    assert len(rows) == 1
    assert entry.source in rows[0]
    assert f"| {entry.mini} |" in rows[0]


def test_every_weight_file_is_listed_with_its_license() -> None:
    lines = [
        line for page in ("weights", "released") for line in (ROOT / "docs" / f"{page}.md").read_text().splitlines()
    ]
    for weight in WEIGHTS:
        assert any(f"`{weight.file}`" in line and weight.license in line for line in lines), weight.file


def test_the_readme_is_short_and_has_pictures() -> None:
    assert len(README.split()) <= MOST_WORDS
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    pictures = [path for path in named if not path.startswith("docs/badges/")]
    assert len(pictures) >= 2
    assert sum((ROOT / path).stat().st_size for path in pictures) < 600_000


def test_the_badges_say_what_the_project_file_says() -> None:
    names = [line.removeprefix("Programming Language :: Python :: ") for line in PROJECT["classifiers"]]
    versions = [name for name in names if re.fullmatch(r"3\.\d+", name)]
    lint = re.search(r"^lint: setup\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert lint is not None
    told = {
        "python": ("Python", " | ".join(versions)),
        "license": ("license", PROJECT["license"]),
        "types": ("types", "mypy"),
    }
    assert "/mypy" in lint[1]
    assert {path.stem for path in (ROOT / "docs" / "badges").iterdir()} == told.keys()
    for name, words in told.items():
        badge = ElementTree.parse(ROOT / "docs" / "badges" / f"{name}.svg").getroot()
        assert tuple(node.text for node in badge.iter("{http://www.w3.org/2000/svg}text")) == words
        assert badge.get("aria-label") == ": ".join(words)
        assert f"docs/badges/{name}.svg" in README


def test_the_clone_line_works_with_an_address(tmp_path) -> None:
    (line,) = re.findall(r"^git clone .*$", README, re.M)
    command = line.partition("#")[0].replace("ADDRESS", shlex.quote(str(ROOT))) + " && make --dry-run demo table1 test"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    for wanted in ("-m mmdiff.demo", "-m experiments.table1", "-m pytest"):
        assert wanted in done.stdout


def test_the_commands_of_the_readme_parse() -> None:
    for words in commands("mmdiff "):
        if words[1] == "run":
            assert f"experiments.{words[2]}" in TABLES or words[2] in ("rings.py", "FILE.py", "NAME")
            tyro.cli(TableFlags, args=words[3:])


def test_the_snippet_of_the_readme_runs_on_trained_models(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in (recipes.hair_expert("mini", 0), recipes.face_expert("mini", 0)):
        folder = RunFolder(tmp_path / "runs" / "mini" / run.name)
        write_json(folder.config, {**as_json(run), "fingerprints": {"celebamask_hq": "0"}})
        checkpoints.save_weights(build.model(run, None), folder.weights, {})
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(README, "python")
    namespace: dict = {}
    exec(block.replace("num_steps=25", "num_steps=2"), namespace)
    assert namespace["images"].shape == (2, 3, 32, 32)
    assert namespace["images"].dtype == torch.uint8


def test_snippets_run() -> None:
    namespace: dict = {}
    for block in (b for b in blocks(OWN, "python") if not b.startswith(("# in ", "# rings.py", "# on the Hub"))):
        exec(block.replace("num_steps=25", "num_steps=2").replace("num_steps=10", "num_steps=2"), namespace)
        assert namespace["images"].shape == (2, 3, 32, 32)
        assert namespace["images"].dtype == torch.uint8


def test_the_recipe_snippet_is_a_run_of_every_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = re.findall(r'`("eyes": .*?),`', OWN)
    monkeypatch.setitem(face_classes.LABEL_CONDITIONS, "eyes", ast.literal_eval("{" + line + "}")["eyes"])
    monkeypatch.setattr(FaceDataModule, "known_conditions", (*face_classes.CONDITIONS, "eyes"))
    (block,) = [b for b in blocks(OWN, "python") if b.startswith("# in experiments/recipes/unite_and_conquer.py")]
    namespace = dict(vars(recipes))
    exec(block, namespace)
    profiles: tuple[Profile, ...] = ("smoke", "mini", "paper")
    for profile in profiles:
        run = namespace["eyes_expert"](profile, 0)
        assert isinstance(run, TrainRun)
        assert run.model.conditions.spatial == (("eyes", 1),)
        assert run.model.network.in_channels == 3 + run.model.conditions.channels


def defined(path: Path) -> set[str]:
    """Functions, classes, Class.method, and constants of a file."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names |= {t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)}
    return names


@pytest.mark.parametrize("page", PAGES)
def test_code_references_exist(page: str) -> None:
    for file, name in REFERENCE.findall((ROOT / page).read_text()):
        assert (ROOT / file).is_file(), f"{page}: {file}"
        assert not name or name in defined(ROOT / file), f"{page}: {file}:{name}"


def test_links_between_pages_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text()):
            assert (ROOT / target).exists(), f"{page}: {target}"
