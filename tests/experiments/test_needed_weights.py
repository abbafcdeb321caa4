"""The table of weights against the code that reads them: nothing is needed that it does not list."""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments import INDEX
from experiments.core import build
from experiments.core.needed_weights import needed_weights
from experiments.recipes.unite_and_conquer import hair_expert, text_expert
from experiments.spec import TrainRun, plan
from lightning_mmdiff import weights

ROOT = Path(__file__).parents[2]
PUBLISHED = re.compile(r"^(FID|sFID|LPIPS|CLIP|Identity-SFace)|-(ADM|LaPa)$|^(KID|IS|Precision|Recall|MaskAccuracy)$")
"""Protocols that by their names are of published networks; ours and those of Python packages say so in their names."""


def measured_protocols() -> Iterator[str]:
    """Every protocol that some ``measure`` has a case for."""
    for path in (ROOT / "experiments").rglob("*.py"):
        functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
        for function in [f for f in functions if f.name == "measure"]:
            for node in ast.walk(function):
                if isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
                    yield str(node.value.value)


def test_every_metric_on_published_weights_has_its_file_in_the_table() -> None:
    protocols = set(measured_protocols())
    assert {"FID", "LPIPS", "mIoU-LaPa", "SSIM"} <= protocols
    listed = {protocol for weight in weights.WEIGHTS for protocol in weight.protocols}
    assert {p for p in protocols if PUBLISHED.search(p)} <= listed, "name its file in lightning_mmdiff/weights/table.py"
    assert listed - {"Identity-SFace"} <= protocols  # the library measures that one; no table does


def test_every_file_that_the_code_asks_for_is_in_the_table() -> None:
    asked = re.compile(r'weights\.require\("(\w+)"\)')
    names = {n for path in (ROOT / "lightning_mmdiff").rglob("*.py") for n in asked.findall(path.read_text())}
    assert len(names) > 5
    assert names <= {weight.name for weight in weights.WEIGHTS}


def test_the_text_expert_needs_its_embedder() -> None:
    assert [w.name for w in needed_weights([], [text_expert("paper", 0)])] == ["farl", "clip"]
    assert needed_weights([], [text_expert("mini", 0), hair_expert("paper", 0)]) == []


@pytest.mark.parametrize("name", [entry.name for entry in INDEX])
def test_models_that_cannot_be_built_lack_a_file_that_is_named_beforehand(name, tmp_path, monkeypatch) -> None:
    for variable in ("MMDIFF_WEIGHTS", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    table = importlib.import_module(f"experiments.{name}").table("paper", 0)
    models: dict[str, TrainRun] = {}  # one of each kind
    for run in plan([table]):
        if isinstance(run, TrainRun):
            models.setdefault(f"{type(run.model).__name__} {getattr(run.model, 'modalities', '')}", run)
    for run in models.values():
        lacking = why_it_cannot_be_built(run, tmp_path)
        files = [w.file for w in needed_weights([table], [run])]
        assert not lacking or any(file in lacking for file in files), lacking


def why_it_cannot_be_built(run: TrainRun, runs: Path) -> str:
    """The sentence that names the missing file; "" where none is, or where it is the result of another run."""
    try:
        with torch.device("meta"):
            build.model(replace(run, initial=None), runs)
    except FileNotFoundError as error:
        return "" if "train this model first" in str(error) else str(error)
    return ""
