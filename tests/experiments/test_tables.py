"""Every table under every profile: its plan, its published numbers, its recipes."""

import importlib
import pkgutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import small_runs
import torch
from PIL import Image

import experiments
import lightning_mmdiff
from experiments import INDEX
from experiments.core import build
from experiments.engine.cli import TableFlags, main
from experiments.figures import reporting
from experiments.recipes import unite_and_conquer as recipes
from experiments.runs import SampleRun, TrainRun
from experiments.spec import Row, Table, plan
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.models.text_denoiser import TextDenoiserConfig
from reports import sheet

PROFILES = ("smoke", "mini", "paper")
NAMES = [entry.name for entry in INDEX]
FROZEN = ("embedder.", "models.", "autoencoder.", "perceptual.")
"""Helpers of a model: no training moves them."""


def model_configs() -> set[type]:
    """Every config of a model in the package."""
    for module in pkgutil.walk_packages(lightning_mmdiff.__path__, "lightning_mmdiff."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, new = set(), [ModelConfig]
    while new:
        new = [t for parent in new for t in parent.__subclasses__() if t.__module__.startswith("lightning_mmdiff")]
        found |= {t for t in new if hasattr(t, "build")}
    return found


def table(name: str, profile: str, seed: int = 0) -> Table:
    return importlib.import_module(f"experiments.{name}").table(profile, seed)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", NAMES)
def test_every_run_comes_after_what_it_needs_and_once(name: str, profile: str) -> None:
    runs = plan([table(name, profile, seed) for seed in range(2)])
    for i, run in enumerate(runs):
        assert set(run.needs) <= set(runs[:i])
    assert len({run.name for run in runs}) == len(runs)


@pytest.mark.parametrize("profile", PROFILES)
def test_tables_share_their_runs(profile: str) -> None:
    runs = plan([table(name, profile) for name in NAMES])  # asserts that no name stands for two different runs
    assert sum(run.name == "hair-expert" for run in runs) == 1


@pytest.mark.parametrize("name", NAMES)
def test_claims_and_published_values_name_rows_and_columns_that_exist(name: str) -> None:
    t = table(name, "mini")
    columns = {m.column for m in t.metrics}
    labels = Counter(label for r in t.rows if r.sample for label in {r.label, f"{r.group}/{r.label}"})
    for claim in t.claims:
        assert claim.metric in columns
        assert labels[claim.better] == labels[claim.worse] == 1
    for row in t.rows:
        assert set(row.published or {}) <= columns


@pytest.mark.parametrize("profile", ["mini", "paper"])
@pytest.mark.parametrize("name", NAMES)
def test_claims_compare_rows_of_as_many_images(name: str, profile: str) -> None:
    t = table(name, profile)
    images = {key: r.sample.num_images for r in t.rows if r.sample for key in (r.label, f"{r.group}/{r.label}")}
    for claim in t.claims:
        if {claim.better, claim.worse} <= images.keys():  # some rows have a reason at paper
            assert images[claim.better] == images[claim.worse], claim


def test_a_column_is_the_papers_if_the_paper_prints_it() -> None:
    sources = {m.column: table("table1", "paper").source_of(m) for m in table("table1", "paper").metrics}
    paper = "Unite and Conquer (CVPR 2023), Table 1"
    ours = ("KID", "FID-infinity", "FID / real", "Copies")
    assert sources == {**dict.fromkeys(("FID", "LPIPS", "SSIM", "mIoU", "F1"), paper), **dict.fromkeys(ours, "")}
    curve = table("finetuning_curve", "mini")
    assert {curve.source_of(m) for m in curve.metrics} == {"MT-Diffusion (ICLR 2024), Fig. 6"}


@pytest.mark.parametrize("name", ["head_to_head", "mask_tokens"])
def test_nothing_is_published_of_a_table_in_no_paper(name: str) -> None:
    t = table(name, "mini")
    assert t.paper.startswith("in no paper")
    assert {t.source_of(m) for m in t.metrics} | {c.source for c in t.claims} == {""}


@pytest.mark.parametrize("name", NAMES)
def test_questions_of_ours_cite_nobody(name: str) -> None:
    for claim in table(name, "mini").claims:
        assert not (claim.id in ("ours", "fair") and claim.source), claim


def test_seeds_change_training_and_nothing_else() -> None:
    first, second = recipes.hair_expert("mini", 0), recipes.hair_expert("mini", 1)
    assert replace(second, name=first.name, seed=0) == first


def test_paper_setting_is_the_published_one() -> None:
    run = recipes.hair_expert("paper", 0)
    assert isinstance(run.model, DenoiserConfig)
    assert (run.batch_size, run.trainer.max_steps, run.trainer.ema_decay) == (8, 100_000, 0.9999)
    assert (run.model.optimizer.lr, run.model.schedule, run.model.image_size) == (1e-5, "linear", 256)
    sample = table("table1", "paper").rows[9].sample
    assert isinstance(sample, SampleRun)
    assert (sample.num_images, sample.sampler.num_steps, sample.sampler.eta) == (3000, 100, 0.0)
    assert isinstance(sample.method, Unite)
    assert {(e.weight, e.reliability) for e in sample.method.experts} == {(1.0, None)}  # Sec. 4.1: w = 1, a = 1/N


@pytest.mark.parametrize(("recipe", "count"), [(recipes.released, 330_924_267), (recipes.sketch_expert, 311_027_910)])
def test_paper_networks_have_the_released_numbers_of_parameters(recipe, count: int) -> None:
    run = recipe("paper", 0)
    with torch.device("meta"):
        model = Denoiser(run.model, embedder=torch.nn.Identity())
    assert sum(p.numel() for p in model.parameters()) == count


def test_released_subsets_keep_each_condition_as_often_as_the_released_code() -> None:
    """25 % hair, 25 % skin, 37.5 % embedding, 12.5 % nothing, over batches that alternate between the data sets."""
    run = recipes.released("paper", 0)
    kept = {"hair": 0.0, "skin": 0.0, "text": 0.0, "": 0.0}
    for data in run.data:
        for names, probability in run.model.subsets:
            present = [n for n in names if n in (*data.conditions, "text")]
            assert len(present) <= 1
            kept[present[0] if present else ""] += probability / 2
    assert kept == {"hair": 0.25, "skin": 0.25, "text": 0.375, "": 0.125}


@pytest.mark.slow
def test_one_training_step_of_the_true_network() -> None:
    """The 311M-parameter expert at 256 x 256 on this CPU: loss finite, every parameter moves or has a gradient."""
    run = recipes.hair_expert("paper", 0)
    model = Denoiser(run.model)
    optimizer = model.configure_optimizers()["optimizer"]
    batch = {
        "image": torch.randint(0, 256, (1, 3, 256, 256), dtype=torch.uint8),
        "conditions": {"hair": torch.full((1, 1, 256, 256), 255, dtype=torch.uint8)},
    }
    from lightning_mmdiff import seeding

    before = model.network.out_conv.weight.detach().clone()
    loss = model.loss(batch, seeding.step_generator(0, 0))
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in model.parameters())
    assert not torch.equal(before, model.network.out_conv.weight)


@pytest.mark.parametrize("name", NAMES)
def test_dry_run_prints_the_plan(name: str, capsys) -> None:
    module = importlib.import_module(f"experiments.{name}")
    main(module.table, TableFlags(profile="paper", launcher="dry-run"))
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in printed] == [run.name for run in plan([table(name, "paper")])]


def test_unknown_run_in_only() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.table1", "--only", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no such run" in done.stdout


def test_index_lists_every_table_module() -> None:
    from pathlib import Path

    folder = Path(experiments.__file__).parent
    with_main = {p.stem for p in folder.glob("*.py") if "def table(profile" in p.read_text()}
    assert with_main == set(NAMES)
    for name in NAMES:
        first = (folder / f"{name}.py").read_text().splitlines()
        assert f"python -m experiments.{name}" in "\n".join(first[:5])


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["smoke", "mini"])
def test_every_model_of_a_small_profile_can_be_built(profile: str) -> None:
    """With its frozen helpers, whose architecture alone is built; what trains is small, seeded and of its own config."""
    runs = [run for run in plan([table(name, profile) for name in NAMES]) if isinstance(run, TrainRun)]
    assert {type(run.model) for run in runs} == model_configs() - {TextDenoiserConfig}  # GLIDE is read, not trained
    distinct = {(run.model, run.seed, tuple(run.helpers.items())): run for run in runs}  # all that building reads
    for run in distinct.values():
        module = build.model(run, None)
        assert (module.config, module.seed) == (run.model, run.seed)
        trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        assert 0 < sum(p.numel() for p in trained.values()) < 3e6
        assert not any(n.startswith(FROZEN) for n in trained)
        assert all(p.isfinite().all() for p in module.parameters())


class Pictures:
    """Test images of one color each with maps of another, as a split gives them: image i is 10 i, its map 100 + shade."""

    def __init__(self, shade: int) -> None:
        self.shade = shade

    def __len__(self) -> int:
        return 3

    def batch(self, numbers: list[int]) -> dict:
        values = torch.tensor([10 * i for i in numbers], dtype=torch.uint8)
        maps = torch.full((len(numbers), 1, 8, 8), 100 + self.shade, dtype=torch.uint8)
        image = values.view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
        return {"image": image, "conditions": {"sketch": maps, "caption": ["a face"] * len(numbers)}}


def test_a_sheet_repeats_conditions_only_where_they_look_different(monkeypatch, tmp_path) -> None:
    """Drawn in full and read back: each strip's pictures stand in its line, in the colors that they have."""
    run = small_runs.samples(small_runs.expert(steps=1), num_images=4)
    rows = [Row(label=label, sample=replace(run, name=label)) for label in ("first", "second", "third")]
    looks = {"first": (0, 200), "second": (0, 210), "third": (7, 220)}  # shade of the conditions, of the samples

    def evaluation(workspace: None, of: Table, row: Row) -> SimpleNamespace:
        shade, color = looks[row.label]
        data = SimpleNamespace(test=Pictures(shade))
        return SimpleNamespace(run=row.sample, data=data, images=torch.full((4, 3, 8, 8), color, dtype=torch.uint8))

    monkeypatch.setattr(reporting, "_evaluation", evaluation)
    entry = reporting._draw(None, small_runs.table_of(run), rows, tmp_path / "sheet.png", "Samples", "The first ones.")
    assert (entry["count"], entry["captions"], entry["legend"]) == (4, ["a face"] * 4, [])
    assert [strip["row"] for strip in entry["strips"]] == ["", "", "first", "second", "", "", "third"]
    side = 80 + 2
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.size == (sheet.LABEL_WIDTH + 4 * side, 7 * side + 2 * sheet.LINE)  # a line of captions below
        pixels = np.asarray(drawn.convert("RGB"))
    centers = pixels[40 : 7 * side : side, sheet.LABEL_WIDTH + 40 :: side]  # [lines, pictures, RGB]
    assert (centers == centers[..., :1]).all()
    own, expected = (
        [0, 10, 20, 0],
        lambda value: [value] * 4,
    )  # three test images: the fourth sample is the first's again
    assert centers[..., 0].tolist() == [
        own, expected(100), expected(200), expected(210),  # the second row has the same conditions
        own, expected(107), expected(220),
    ]  # fmt: skip
    ink = (pixels[:, : sheet.LABEL_WIDTH] < 128).any(axis=2)
    assert all(ink[line * side : (line + 1) * side].any() for line in range(7))  # every strip is labeled


def test_a_batch_that_devices_cannot_share_is_refused_before_anything_runs() -> None:
    run = small_runs.expert(steps=1)
    with pytest.raises(ValueError, match=r"batch_size 75, which 8 devices cannot share"):
        replace(run, batch_size=75, trainer=replace(run.trainer, devices=8))
