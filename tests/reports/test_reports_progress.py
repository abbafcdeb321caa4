"""Time left, curves and costs, from files with known answers."""

import json
import os
import re
import time
from dataclasses import replace

import pytest
from half_runs import training

from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports import progress
from reports.charts import HEIGHT, WIDTH, Series, lines
from reports.costs import add_up, energy, hours
from reports.curves import metric_curves, panels, read
from reports.results import load_table
from reports.runs import stages


def test_time_left_of_a_training_from_its_own_files(tmp_path):
    (tmp_path / "mini").mkdir()
    folder = training(tmp_path / "mini" / "model", steps=200)
    (folder / "checkpoints").mkdir()
    now = time.time()
    for step in (100, 150):
        path = folder / "checkpoints" / f"step={step}.ckpt"
        path.touch()
        os.utime(path, (now - 1000 + 2 * step, now - 1000 + 2 * step))  # two seconds a step
    os.utime(folder / "loss.csv", (now - 600, now - 600))
    run = progress.survey(tmp_path / "mini")["model"]
    assert (run.state, run.done, run.total, run.unit) == ("stopped", 200, 300, "steps")
    assert run.left == pytest.approx(200, rel=1e-3)
    with WorkLocks(RunFolder(folder).locks).try_acquire("train"):
        assert progress.survey(tmp_path / "mini")["model"].state == "running"


def test_time_left_from_finished_runs_of_the_same_kind(tmp_path):
    (tmp_path / "mini").mkdir()
    training(tmp_path / "mini" / "a", steps=300, seconds=600.0)
    training(tmp_path / "mini" / "b")
    runs = progress.survey(tmp_path / "mini")
    assert (runs["a"].state, runs["b"].state) == ("done", "pending")
    assert runs["b"].left == 600.0
    assert progress.time_left(runs.values()) == (600.0, 0)
    other = training(tmp_path / "mini" / "c")
    text = (other / "config.json").read_text().replace("DenoiserConfig", "AnotherConfig")
    (other / "config.json").write_text(text)
    assert progress.time_left(progress.survey(tmp_path / "mini").values()) == (600.0, 1)


def test_a_half_written_line_is_no_point(tmp_path):
    (tmp_path / "loss.csv").write_text("step,loss\n10,0.5\n20,nan\n30,0.25\n40")
    (tmp_path / "validation.csv").write_text("step,mIoU,SSIM\n100,0.4,0.2\n200,0.5,0.3\n")
    (tmp_path / "other.csv").write_text("name,value\na,1\n")
    (curve, iou, ssim) = read(tmp_path)
    assert (curve.quantity, curve.points) == ("loss", ((10, 0.5), (30, 0.25)))
    assert (iou.quantity, iou.points) == ("mIoU", ((100, 0.4), (200, 0.5)))
    assert ssim.points == ((100, 0.2), (200, 0.3))


def test_held_out_losses_are_dashed_beside_those_of_training_and_parts_are_folded_away(tmp_path):
    text = "step,loss,kl,held_out_loss,held_out_kl\n10,0.5,0.1,,\n20,0.4,0.1,0.6,0.2\n30,0.3,0.1,0.5,0.3\n"
    folders = [tmp_path / "model", tmp_path / "model-seed1"]
    for folder in folders:
        folder.mkdir()
        (folder / "loss.csv").write_text(text)
    found = [curve for folder in folders for curve in read(folder)]
    places = [(c.quantity, c.held_out, c.part, len(c.points)) for c in found[:4]]
    assert places == [
        ("loss", False, False, 3),
        ("kl", False, True, 3),
        ("loss", True, False, 2),
        ("kl", True, True, 2),
    ]
    loss, part = panels(found)
    assert (loss.quantity, loss.part, part.quantity, part.part) == ("loss", False, "kl", True)
    assert loss.words.startswith(", 2 seeds; dashed: held-out images; last ")
    assert "0.5, held-out images" in loss.words
    assert re.findall(r'<polyline class="([^"]+)"', loss.svg) == [
        "line s0",
        "line held-out s0",
        "line s1",
        "line held-out s1",
    ]


@pytest.mark.parametrize("values", [(0.5, 0.5), (0.0, 0.0), (-2.0, 3.0), (1e-4, 0.9), (1e-9, 1e-9), (1e5, 1.1e5)])
def test_axes_cover_the_values(values):
    drawn = lines([Series(label="model", points=((10, values[0]), (20, values[1])))], "a chart", x_name="steps")
    (points,) = re.findall(r'points="([^"]+)"', drawn)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert len(places) == 2
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert (places[0][1] > places[1][1]) == (values[0] < values[1])  # up is more
    assert len(re.findall('class="grid"', drawn)) >= 2


def test_costs_count_a_shared_stage_once(profile):
    table = load_table(profile / "tables" / "table1" / "table.json")
    found = [stage for row in table.rows for run in row.runs for stage in run.stages]
    cost = add_up(found)
    assert cost.stages == 1 + 11 * 2
    assert cost.cpu_hours == pytest.approx((600 + 11 * 2 * 95.2) / 3600)
    assert (cost.gpu_hours, energy(cost)) == (0, "not measured")


def test_gpu_hours_and_energy(tmp_path):
    record = {"seconds": 3600, "hardware": "CPU, 8 cores, NVIDIA X, NVIDIA X, NVIDIA X", "energy_wh": 400.0}
    stored = {"stage": {"train": record, "sample": record, "score": {**record, "energy_wh": 600.0}}}
    (tmp_path / "provenance.json").write_text(json.dumps(stored))
    (tmp_path / "config.json").write_text('{"trainer": {"devices": 2, "num_nodes": 4}}')
    assert [stage.gpus for stage in stages(tmp_path)] == [8, 3, 1]
    cost = add_up(stages(tmp_path))
    assert hours(cost) == "12 GPU h"
    assert [hours(replace(cost, gpu_hours=h)) for h in (1284.2, 0.2, 0.011)] == [
        "1,284 GPU h",
        "12 GPU min",
        "40 GPU s",
    ]
    assert energy(cost) == "1.4 kWh"
    stored["stage"]["train"]["energy_wh"] = None
    (tmp_path / "provenance.json").write_text(json.dumps(stored))
    assert energy(add_up(stages(tmp_path))) == "not measured"


def test_a_metric_of_a_model_that_is_trained_further_is_a_curve(make_table):
    """Not that of several models, of another number of images, or of rows that share a number of steps."""

    def trained(name: str, steps: int, initial: dict | None = None) -> dict:
        return {"type": "TrainRun", "name": name, "trainer": {"max_steps": steps}, "initial": initial}

    def asked(*runs: dict) -> dict:
        return {"method": {"type": "Unite", "experts": [{"run": run} for run in runs]}}

    first = trained("first", 300)
    tuned = trained("tuned", 50, first)
    configs = {
        "spade": asked(first),
        "oasis": asked(trained("tuned-more", 20, tuned)),
        "spade-c": asked(tuned),
        "ours": asked(first, tuned),
        "pix2pixhd": {**asked(trained("other", 9, first)), "num_images": 7},
    }
    folder = make_table()
    for name, config in configs.items():
        (folder.parents[1] / name / "config.json").write_text(json.dumps(config))
    table = load_table(folder / "table.json")
    value = {
        row.runs[0].name: row.runs[0].scores["FD-EffNetLite0"].value for row in table.rows if row.state == "measured"
    }
    (curve,) = [c for c in metric_curves(table) if c.quantity == "FD-EffNetLite0"]
    assert curve.run == "first"
    assert curve.points == ((300, value["spade"]), (350, value["spade-c"]), (370, value["oasis"]))
    assert panels([curve])[0].svg.count('class="dot') == 3
