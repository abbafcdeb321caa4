"""Imports go one way, between packages and inside them; lazy imports count. Reports never load torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNTIME = ("lightning_mmdiff.runtime", "lightning_mmdiff.errors")

MAY_IMPORT = {
    "lightning_mmdiff": ("lightning_mmdiff",),
    "datamodules": ("datamodules", "lightning_mmdiff"),
    "reports": ("reports", *RUNTIME),
    "experiments": ("experiments", "reports", "datamodules", "lightning_mmdiff"),
    "slurm": ("slurm", "experiments", "reports", "datamodules", "lightning_mmdiff"),
    "mmdiff": ("mmdiff", "slurm", "experiments", "reports", "datamodules", "lightning_mmdiff"),
    "benchmarks": ("benchmarks", "slurm", "experiments", "reports", "datamodules", "lightning_mmdiff"),
}
"""Package -> what of ours it may import."""

ONLY = {"errors": (), "runtime": ("runtime", "errors")}
"""Room of lightning_mmdiff -> the only rooms of it that it may import."""

NEVER = {
    "networks": ("models", "methods"),
    "models": ("methods",),
    "metrics": ("methods",),
    "callbacks": ("models", "methods"),
}
"""Room of lightning_mmdiff -> rooms that it must not import."""

FLOORS = (("index",), ("runs",), ("spec",), ("core",), ("protocols",), ("recipes", "figures"), ("engine",), ("tables",))
"""Rooms of experiments, each above those that it may import. The index is ``experiments/__init__.py``; the tables are
every module on top that no other floor names, the commands beside them included."""


def imported(source: str) -> Iterator[str]:
    """Full names of what a file imports anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    """Second part of a module's name: ``core`` of ``experiments.core.build``."""
    return (module.split(".") + [""])[1]


def floor(name: str) -> int:
    """Floor of a room of experiments."""
    if name in ("", "__init__", "INDEX", "Profile"):
        name = "index"
    return next((i for i, rooms in enumerate(FLOORS) if name in rooms), len(FLOORS) - 1)


def wrong(path: str, source: str) -> list[str]:
    """Imports of a file that go the wrong way."""
    here = path.removesuffix(".py").replace("/", ".")
    package, own = here.split(".")[0], room(here)
    ours = [module for module in imported(source) if module.split(".")[0] in MAY_IMPORT]
    found = [m for m in ours if not f"{m}.".startswith(tuple(f"{name}." for name in MAY_IMPORT[package]))]
    for module in (m for m in ours if m.split(".")[0] == package):
        other = room(module)
        if package == "lightning_mmdiff":
            found += [module] if other not in ONLY.get(own, (other,)) or other in NEVER.get(own, ()) else []
        if package == "experiments":
            beside = floor(own) == floor(other) and own != other and floor(own) < len(FLOORS) - 1
            found += [module] if floor(other) > floor(own) or beside else []
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        path = file.relative_to(ROOT).as_posix()
        assert not wrong(path, file.read_text()), path


@pytest.mark.parametrize(
    ("path", "source", "right"),
    [
        ("lightning_mmdiff/noise.py", "from datamodules.base import x", False),
        ("lightning_mmdiff/runtime/files.py", "from lightning_mmdiff.runtime.processes import machine", True),
        ("lightning_mmdiff/runtime/files.py", "from lightning_mmdiff import seeding", False),
        ("lightning_mmdiff/networks/unet.py", "def f():\n    import lightning_mmdiff.models.denoiser", False),
        ("lightning_mmdiff/callbacks/ema.py", "from lightning_mmdiff.models.training import x", False),
        ("lightning_mmdiff/methods/composable.py", "from lightning_mmdiff.models.training import x", True),
        ("datamodules/base.py", "from experiments.spec import Run", False),
        ("reports/site.py", "from lightning_mmdiff.errors import UserError", True),
        ("reports/site.py", "from lightning_mmdiff.images import to_float", False),
        ("reports/site.py", "def f():\n    from experiments import INDEX", False),
        ("experiments/__init__.py", "from reports.schema import Entry", True),
        ("experiments/__init__.py", "from experiments.spec import Run", False),
        ("experiments/spec.py", "from experiments.core.build import x", False),
        ("experiments/recipes/faces.py", "from experiments.figures import galleries", False),
        ("experiments/recipes/deep/down.py", "from experiments.spec import Run", True),
        ("experiments/core/build.py", "from experiments.protocols.score import x", False),
        ("experiments/engine/cli.py", "from experiments.figures import reporting", True),
        ("experiments/engine/cli.py", "import slurm.submit", False),
        ("experiments/engine/cli.py", "from experiments import table1", False),
        ("experiments/table10.py", "from experiments.table9 import ours", True),
        ("slurm/jobs.py", "from experiments import INDEX", True),
        ("slurm/jobs.py", "from benchmarks.paired import Side", False),
    ],
)
def test_the_rules_tell_right_from_wrong(path: str, source: str, right: bool) -> None:
    assert (not wrong(path, source)) is right


def test_reports_read_results_without_torch() -> None:
    code = "import sys, reports.site; print('torch' in sys.modules or 'lightning' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
