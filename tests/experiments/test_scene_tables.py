"""Table 3 and the reliability of scenes: rows from the same noise, equal calls, prompts, and what the judges' protocols say."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from timm.data import ImageNetInfo

from datamodules.images.scene_pairs import FIGURES, OURS, PAIRS
from experiments import table3
from experiments.protocols import scenes
from experiments.protocols.catalogue import by_name
from experiments.protocols.samples import Samples
from experiments.runs import SampleRun
from experiments.spec import plan
from lightning_mmdiff.errors import UnmeasurableError


def by_label(profile: str = "mini", seed: int = 0) -> dict:
    return {row.label: row for row in table3.table(profile, seed).rows}


def test_the_table_has_the_printed_rows_and_numbers() -> None:
    rows = by_label()
    assert [rows[label].published for label in ("GLIDE", "CompGen", "OURS")] == [
        {"NIQE": 6.64, "CLIP": 0.317, "Acc": 0.3},
        {"NIQE": 5.71, "CLIP": 0.282, "Acc": 22.4},
        {"NIQE": 5.34, "CLIP": 0.286, "Acc": 87.0},
    ]
    assert {label for label, row in rows.items() if row.sample is None} == {"OURS"}
    assert rows["OURS"].best_of == ("a = 0", "a = 0.5", "a = 1")
    assert "OURS" not in {label for claim in table3.claims() for label in (claim.better, claim.worse)}


def test_all_rows_of_a_seed_start_from_the_same_noise_and_ask_for_the_same() -> None:
    for seed in (0, 2):
        runs = [row.sample for row in table3.table("mini", seed).rows if row.sample and not row.sample.method.is_real]
        assert {run.seed for run in runs} == {seed}
        assert len({run.data for run in runs}) == 1
        assert {run.num_images for run in runs} == {256, 128}


def calls(run) -> float:
    """Network evaluations per image of a run, counting the terms of Eq. 10 that are not zero."""
    nulls = len({use.run for use in run.method.experts if use.reliability is None or use.reliability > 0})
    return (len(run.method.experts) + nulls) * run.sampler.num_steps


def test_rows_at_equal_calls_have_equal_calls() -> None:
    rows = by_label()
    ours = calls(rows["a = 0.5"].sample)
    assert ours == 100
    for label in (table3.CLASS_TWICE, table3.GLIDE_TWICE):
        assert calls(rows[label].sample) == ours
    assert calls(rows[table3.COMPGEN_LONGER].sample) == pytest.approx(ours, rel=0.01)


def test_claims_name_rows_and_columns_that_exist() -> None:
    table = table3.table("mini", 0)
    labels, columns = {row.label for row in table.rows}, {metric.column for metric in table.metrics}
    for claim in table.claims:
        assert {claim.better, claim.worse} <= labels, claim
        assert claim.metric in columns, claim
        assert claim.better != claim.worse
    assert len(labels) == len(table.rows)
    assert {claim.id for claim in table.claims} == {"UC6", "UC7", "UC8", "fair", "ours"}


def test_contradictory_rows_differ_in_weight_or_reliability_alone() -> None:
    rows = by_label()
    for label, (a, thing, text) in table3.CONTRADICTIONS.items():
        first, second = rows[label].sample.method.experts
        assert (first.weight, second.weight, second.reliability) == (thing, text, a)
        assert (first.conditions, second.conditions) == (("label",), ("text@other_caption",))
        assert thing + text == 10


def test_figures_draw_every_sampled_pair_of_reliability_and_weight() -> None:
    table = table3.table("mini", 0)
    grid = {}
    for row in table.rows:
        if row.group in (table3.RELIABILITY, table3.GRID):
            thing, text = row.sample.method.experts
            assert thing.weight == text.weight
            assert thing.reliability + text.reliability == 1
            grid[text.reliability, text.weight] = row.label
    assert {(a, w) for a in (0, 0.5, 1) for w in (1, 2, 5, 8)} <= set(grid)
    by_a, by_w = table.figures
    assert {(x, line.label): name for line in by_a.lines for x, name in line.points} == {
        (a, f"w = {w:g}"): name for (a, w), name in grid.items()
    }
    drawn = {(line.label, x): name for line in by_w.lines for x, name in line.points}
    assert drawn == {(f"a = {a:g}", w): name for (a, w), name in grid.items() if a in (0, 0.5, 1)}


def test_the_paper_trained_nothing_here() -> None:
    """At paper the rows are those of the published checkpoints."""
    ours, theirs = (table3.table(profile, 0).rows for profile in ("mini", "paper"))
    assert [row.label for row in ours] == [row.label for row in theirs]
    assert {row.label for row in theirs if row.sample is None} == {"OURS", table3.FIRST_ROW}
    assert all(isinstance(run, SampleRun) for run in plan([table3.table("paper", 0)]))
    assert theirs == table3.table("released", 0).rows


def test_published_pairs_are_classes_of_imagenet() -> None:
    info = ImageNetInfo()
    for _, label, thing in PAIRS:
        names = info.index_to_description(label, detailed=False).lower()
        assert thing.lower() in names or {"Indian elephant": "elephant"}.get(thing, "?") in names, (label, thing, names)
    assert (len(FIGURES), len(OURS)) == (16, 50)
    assert len(set(PAIRS)) == len(PAIRS)


class Judge:
    """Predicts the class that an image's first pixel says."""

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(image[:, 0, 0, 0].long(), 11).float()


def judged(first: list[int], label: list[int], scene: list[int]) -> Samples:
    images = torch.zeros(len(first), 3, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor(first)
    samples = Samples.__new__(Samples)
    samples.evaluators, samples._known = {"thing-judge": Judge(), "scene-judge": Judge()}, {}
    samples.__dict__["images"] = images
    conditions = {"label": torch.tensor(label), "scene": torch.tensor(scene), "other": torch.tensor([3] * len(label))}
    samples.__dict__["test"] = {"conditions": conditions}
    return samples


def test_shares_of_right_things_scenes_and_both() -> None:
    samples = judged([3, 3, 4, 5], label=[3, 2, 4, 0], scene=[3, 3, 0, 5])
    values = {
        name: by_name(name).measure(samples).value
        for name in ("Accuracy-ThingJudge", "Accuracy-SceneJudge", "Both-MiniJudges", "Other-ThingJudge")
    }
    assert values == {
        "Accuracy-ThingJudge": 0.5, "Accuracy-SceneJudge": 0.75, "Both-MiniJudges": 0.25, "Other-ThingJudge": 0.5
    }  # fmt: skip


def test_a_sample_without_statistics_is_named_in_place_of_a_number(tmp_path) -> None:
    samples = judged([0, 0], label=[0, 0], scene=[0, 0])
    noise = torch.randint(0, 256, (60, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    samples.__dict__["images"] = torch.cat([noise[:1], torch.full((1, 3, 32, 32), 7, dtype=torch.uint8)])
    samples.run = SimpleNamespace(data=SimpleNamespace(image_size=32, dataset="scenes"))
    samples.data = SimpleNamespace()
    samples.data.train = type("Split", (), {"__len__": lambda _: 60, "batch": lambda _, rows: {"image": noise}})()
    samples.kept = lambda name, key, compute: compute()
    with pytest.raises(UnmeasurableError, match="Image 1: NIQE needs two blocks"):
        scenes.rendered_quality(samples)
    samples.__dict__["images"] = noise
    assert np.isfinite(scenes.rendered_quality(samples)).all()
