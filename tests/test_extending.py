"""docs/extending.md, carried out word for word in a copy of the tree: five new files, a line each, a table at smoke."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
FILE, LINE = re.compile(r"# (\S+\.py)\n"), re.compile(r"# (\S+\.py), in (\w+)\n")
PLACES = {"datamodules/catalogue.py", "experiments/protocols/catalogue.py", "experiments/__init__.py"}
"""The only files that anything is added to."""


def add_line(path: Path, name: str, text: str) -> None:
    """Add an entry to the tuple ``name`` of a file, and its import above."""
    lines = path.read_text().splitlines(keepends=True)
    (node,) = (
        n
        for n in ast.parse("".join(lines)).body
        if isinstance(n, ast.Assign | ast.AnnAssign)
        and getattr(n.targets[0] if isinstance(n, ast.Assign) else n.target, "id", "") == name
    )
    first = next(i for i, line in enumerate(lines) if line.startswith(("from ", "import ")))
    added = text.splitlines(keepends=True)
    imports = [line for line in added if line.startswith(("from ", "import "))]
    entries = [line for line in added if line not in imports]
    assert len(imports) <= 1
    assert len(entries) == 1
    lines[node.end_lineno - 1 : node.end_lineno - 1] = entries
    lines[first:first] = imports
    path.write_text("".join(lines))


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the tree with everything that the page adds."""
    tree = tmp_path_factory.mktemp("copy") / "tree"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in (
        n for n in listed if n.endswith((".py", ".toml", ".html", ".css", ".js", ".svg")) and not n.startswith("tests/")
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    for block in BLOCKS:
        if line := LINE.match(block):
            assert line[1] in PLACES
            add_line(tree / line[1], line[2], block[line.end() :])
        elif file := FILE.match(block):
            assert not (tree / file[1]).exists()
            (tree / file[1]).write_text(block[file.end() :])
    return tree


def run(tree: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=tree, env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_each_of_the_five_is_one_file_and_at_most_one_line() -> None:
    files = [match[1] for block in BLOCKS if (match := FILE.match(block))]
    lines = [match[1] for block in BLOCKS if (match := LINE.match(block))]
    assert sorted(files) == [
        "datamodules/shapes.py", "experiments/protocols/psnr.py", "experiments/shapes.py",
        "lightning_mmdiff/methods/interval.py", "lightning_mmdiff/methods/small_gan.py",
    ]  # fmt: skip
    assert sorted(lines) == sorted(PLACES)


@pytest.mark.slow
def test_the_table_runs_at_smoke(tree: Path) -> None:
    run(tree, "-m", "experiments.shapes", "--profile", "smoke")
    report = json.loads((tree / "runs/smoke/tables/shapes/metrics.json").read_text())
    assert [row["label"] for row in report["rows"]] == ["GAN", "average", "united in an interval", "real images"]
    for row in report["rows"]:
        assert row["state"] == "measured", row["reason"]
        assert row["cells"]["PSNR"]["value"] > 0
    assert "shapes" in run(tree, "-m", "experiments")


@pytest.mark.slow
def test_the_other_blocks_run_one_after_the_other(tree: Path, tmp_path: Path) -> None:
    script = tmp_path / "blocks.py"
    script.write_text("\n".join(block for block in BLOCKS if not FILE.match(block) and not LINE.match(block)))
    run(tree, str(script))


def test_new_files_keep_the_style(tree: Path) -> None:
    files = [match[1] for block in BLOCKS if (match := FILE.match(block))]
    run(tree, "-m", "ruff", "check", *files)
