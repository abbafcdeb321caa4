"""Imports go one way: lightning_mmdiff <- datamodules <- experiments <- slurm, reports; reports never imports torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "lightning_mmdiff": {"lightning_mmdiff"},
    "datamodules": {"lightning_mmdiff", "datamodules"},
    "experiments": {"lightning_mmdiff", "datamodules", "experiments", "reports"},
    "reports": {"lightning_mmdiff", "experiments", "reports"},  # of experiments the index alone, see below
    "slurm": {"lightning_mmdiff", "datamodules", "experiments", "reports", "slurm"},
}


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        wrong = imported(path) & set(ALLOWED) - ALLOWED[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_reports_know_only_the_index_of_experiments() -> None:
    for path in (ROOT / "reports").rglob("*.py"):
        nodes = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        modules = [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]
        modules += [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
        wrong = [module for module in modules if module.startswith("experiments.")]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_reports_read_results_without_torch() -> None:
    code = "import sys, reports.site; print('torch' in sys.modules or 'lightning' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
