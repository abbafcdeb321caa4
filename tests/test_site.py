"""The site of docs/ builds without a warning: every page is reached, every link and anchor leads somewhere, the API is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(folder: Path) -> subprocess.CompletedProcess:
    words = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(folder / "mkdocs.yml"),
        "-d",
        str(folder / "built"),
    ]
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )


@pytest.fixture
def tree(tmp_path) -> Path:
    """Links to everything that the site reads, so that nothing is written into the tree."""
    for name in (
        "docs",
        "lightning_mmdiff",
        "datamodules",
        "experiments",
        "reports",
        "slurm",
        "mmdiff",
        "benchmarks",
        "tests",
    ):
        (tmp_path / name).symlink_to(ROOT / name)
    for path in [p for p in ROOT.iterdir() if p.suffix in (".md", ".cff", ".yml") or p.name == "LICENSE"]:
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def test_the_site_builds_strictly(tree) -> None:
    pytest.importorskip("mkdocstrings", reason="the docs extra is not installed")
    done = build(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unite and Conquer" in (tree / "built" / "index.html").read_text()
    page = (tree / "built" / "api" / "index.html").read_text()
    assert all(f'id="lightning_mmdiff.{name}"' in page for name in ("loading.load", "methods.unite_and_conquer.unite"))


def test_a_broken_link_stops_it(tree) -> None:
    pytest.importorskip("mkdocstrings", reason="the docs extra is not installed")
    (tree / "CHANGELOG.md").unlink()
    (tree / "CHANGELOG.md").write_text("[gone](docs/nowhere.md) and [no heading](docs/runs.md#nowhere)\n")
    done = build(tree)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
