"""The weight files that are named beforehand against the code that reads them: neither asks for more than the other."""

import importlib
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments import INDEX
from experiments.core import build
from experiments.protocols.catalogue import by_name, column
from experiments.protocols.needed_weights import needed_weights
from experiments.recipes.unite_and_conquer import hair_expert, text_expert
from experiments.runs import Run, TrainRun
from experiments.spec import Table, plan
from lightning_mmdiff import weights
from lightning_mmdiff.errors import MissingFileError
from lightning_mmdiff.networks import farl, stable_diffusion
from lightning_mmdiff.networks.tokens import TextTokens
from lightning_mmdiff.released import convert
from lightning_mmdiff.runtime import checkpoints

ROOT = Path(__file__).parents[2]


def names(tables: list[Table], runs: list[Run]) -> list[str]:
    return [weight.name for weight in needed_weights(tables, runs)]


def test_every_file_that_the_code_asks_for_is_in_the_table() -> None:
    asked = re.compile(r'weights\.require\("(\w+)"\)')
    found = {n for path in (ROOT / "lightning_mmdiff").rglob("*.py") for n in asked.findall(path.read_text())}
    assert len(found) > 5
    assert found <= {weight.name for weight in weights.WEIGHTS}


def test_a_metric_needs_the_files_of_its_protocol() -> None:
    metrics = tuple(column(name) for name in ("mIoU-LaPa", "SSIM", "LPIPS", "KID"))
    table = Table(name="any", title="", paper="", metrics=metrics, rows=())
    assert names([table], []) == ["inception", "alexnet", "face_parser", "face_detector"]
    assert set(names([table], [])) == {w for m in metrics for w in by_name(m.protocol).weights}


def test_the_text_expert_needs_its_embedder() -> None:
    assert names([], [text_expert("paper", 0)]) == ["farl", "clip"]
    assert names([], [text_expert("mini", 0), hair_expert("paper", 0)]) == []


class AnyState(dict):
    """A file of weights that has every entry."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> None:
        return None


@pytest.fixture
def asked(monkeypatch) -> set[str]:
    """Names of the files that are asked for; they count as there, but neither they nor trained weights are read."""
    found: set[str] = set()

    def require(name: str) -> Path:
        found.add(name)
        return Path(name)

    def nothing(*_args, **_options) -> None: ...

    def load(path: Path | str, **options) -> dict:
        return packaged(path, **options) if Path(path).exists() else AnyState()

    packaged = torch.load
    monkeypatch.setattr(weights, "require", require)
    monkeypatch.setattr(torch, "load", load)
    monkeypatch.setattr(farl, "load_clip", lambda _folder: nn.Identity())
    for owner, reader in (
        (farl, "clip_tokenizer"), (farl, "load_openai_clip"), (stable_diffusion, "load_diffusers"),
        (checkpoints, "load_weights"), (nn.Module, "load_state_dict"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, reader, nothing)
    monkeypatch.setattr(convert, "load", lambda parts, module: [require(file.weight) for file, _ in parts])
    monkeypatch.setattr(
        nn.Module, "to", lambda module, *_args, **_options: module
    )  # from the meta device nothing can go
    monkeypatch.setattr("transformers.BertTokenizer.from_pretrained", nothing)
    return found


@pytest.mark.parametrize("profile", ["mini", "paper"])
@pytest.mark.parametrize("name", [entry.name for entry in INDEX])
def test_models_ask_for_exactly_the_files_that_are_named_beforehand(name, profile, asked, tmp_path) -> None:
    runs = plan([importlib.import_module(f"experiments.{name}").table(profile, 0)])
    kinds: dict[str, TrainRun] = {}  # one of each kind
    for run in runs:
        if isinstance(run, TrainRun):
            kinds.setdefault(f"{type(run.model).__name__} {names([], [run])}", run)
    for run in kinds.values():
        asked.clear()
        with torch.device("meta"):
            model = build.model(run, tmp_path)
        for tokens in (module for module in model.modules() if isinstance(module, TextTokens)):
            _ = tokens.tokenize  # whose word pieces are loaded with the first text
        own, helpers = set(names([], [run])), set(names([], plan_of(run)))
        assert own <= asked <= own | helpers, run.name


def plan_of(run: TrainRun) -> list[TrainRun]:
    """``run`` and all that it needs."""
    return [run, *(r for need in run.needs for r in plan_of(need))]


def test_a_model_that_cannot_be_built_says_which_file_is_missing(tmp_path, monkeypatch) -> None:
    for variable in (weights.ENVIRONMENT_VARIABLE, "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    run = text_expert("paper", 0)
    with pytest.raises(MissingFileError, match="LAIONFace20M"), torch.device("meta"):
        build.model(run, tmp_path)
