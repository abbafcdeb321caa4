"""The container definitions as far as they can be read without building: their instructions, and what they copy and start."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTRUCTIONS = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "ENTRYPOINT", "CMD"}
SECTIONS = {"files", "post", "environment", "runscript", "test"}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, TOOLS = SETTINGS["project"], SETTINGS["tool"]


def dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments, continued lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def apptainer() -> tuple[dict[str, str], dict[str, str]]:
    """Header and sections."""
    head, *parts = re.split(r"^%", (ROOT / "apptainer.def").read_text(), flags=re.M)
    header = dict(re.findall(r"^(\w+): (.+)$", head, flags=re.M))
    return header, {name: body for name, _, body in (part.partition("\n") for part in parts)}


def python_of(image: str) -> tuple[int, ...]:
    """Version of Python in the name of an image."""
    return tuple(map(int, re.findall(r"^python:(\d+)\.(\d+)", image)[0]))


def test_the_dockerfile_is_one_and_starts_our_command() -> None:
    instructions = dockerfile()
    assert {name for name, _ in instructions} <= INSTRUCTIONS
    assert instructions[0][0] == "FROM"
    found = dict(instructions)
    least = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    assert python_of(found["FROM"]) >= least
    (entry,) = re.findall(r'^\["(\w+)"\]$', found["ENTRYPOINT"])
    assert entry in PROJECT["scripts"]
    source, target = found["COPY"].split()
    assert (ROOT / source).is_dir()
    assert any(f"pip install --no-cache-dir {target}" in rest for _, rest in instructions)


def test_the_apptainer_definition_says_the_same() -> None:
    header, sections = apptainer()
    assert header == {"Bootstrap": "docker", "From": dict(dockerfile())["FROM"]}
    assert set(sections) == SECTIONS
    assert "pip install --no-cache-dir /opt/lightning_mmdiff" in sections["post"]
    pairs = dict(line.split() for line in sections["files"].splitlines() if line.strip())
    assert pairs == {
        name: f"/opt/lightning_mmdiff/{name}" for name in pairs
    }  # not ".", which would copy .venv and runs too
    packages = {name.removesuffix("*") for name in TOOLS["setuptools"]["packages"]["find"]["include"]}
    assert pairs.keys() == {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], *packages}
    assert all((ROOT / name).exists() for name in pairs)
    assert sections["runscript"].split()[:2] == ["exec", "mmdiff"]


def test_docker_copies_neither_environment_nor_runs() -> None:
    assert {".git", ".venv", "data", "runs"} <= set((ROOT / ".dockerignore").read_text().split())
