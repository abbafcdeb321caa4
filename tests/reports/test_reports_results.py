"""Means, intervals, verdicts, states and claims with known answers."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports import evidence
from reports.claims import find_row
from reports.results import load_table
from reports.settings import differences
from reports.statistics import bootstrap_interval, t_interval
from reports.values import as_json, frame

STOPPED = "stopped before it was scored; the same command goes on with it"
TOO_WIDE = "the gap is at most half the 95% interval, which is too wide to agree"


def rows_of(folder):
    return {row.title: row for row in load_table(folder / "table.json").rows}


def test_one_seed_keeps_the_stored_interval(make_table):
    cell = rows_of(make_table())["SPADE (Fine-tuning)"].cells[0]
    assert (cell.value, cell.n, cell.seeds, cell.published) == (60.0, 500, (0,), 131.91)
    assert cell.interval == pytest.approx((56.4, 63.6))


def test_three_seeds_use_students_t(make_table):
    folder = make_table()
    cell = rows_of(folder)["INADE (Combined training)"].cells[1]
    over_images = 2 * 0.03 * 0.71  # half of the mean interval of one training
    assert (cell.value, cell.seeds) == (pytest.approx(0.71), (0, 1, 2))
    assert cell.interval == pytest.approx((0.71 - over_images, 0.71 + over_images))
    for name in ("inade-0", "inade-1", "inade-2"):
        path = folder / f"../../{name}/metrics.json"
        stored = json.loads(path.read_text())
        path.write_text(json.dumps({k: {**entry, "interval": None} for k, entry in stored.items()}))
    cell = rows_of(folder)["INADE (Combined training)"].cells[1]
    half = 4.30265 * 0.01 / math.sqrt(3)  # t with 2 degrees of freedom; the deviation of .70, .71, .72 is .01
    assert cell.interval == pytest.approx((0.71 - half, 0.71 + half), abs=1e-6)


def test_trainings_that_agree_are_as_uncertain_as_their_images():
    assert t_interval([3.0, 3.0, 3.0], [(2.5, 3.5), (2.0, 4.0), None]) == (2.25, 3.75)
    assert t_interval([3.0, 3.0, 3.0]) == (3.0, 3.0)
    far = t_interval([1.0, 9.0, 5.0])
    assert t_interval([1.0, 9.0, 5.0], [(0.5, 1.5)] * 3) == far


def test_states_and_reasons(make_table, hostile):
    rows = rows_of(make_table())
    found = {title: (row.state, row.reason) for title, row in rows.items() if row.state != "measured"}
    assert found == {
        "TediGAN (Others)": ("not measured", "needs a StyleGAN2 checkpoint"),
        "Pix2PixHD (Others)": ("failed", "Traceback:\nNaN loss at step 12 <b>"),
        "Started (Others)": ("stopped", STOPPED),
        f"{hostile} (Others)": ("pending", "not started"),
    }
    assert rows["TediGAN (Others)"].cells[0].published == 87.95


def test_some_seeds_missing(make_table):
    folder = make_table()
    (folder / "../../inade-2/metrics.json").unlink()
    (folder / "../../inade-2/failed.txt").write_text("disk full")
    row = rows_of(folder)["INADE (Combined training)"]
    assert (row.state, row.reason, row.cells[0].seeds) == ("measured", "seed 2: failed: disk full", (0, 1))


def test_a_failed_training_fails_the_rows_that_need_it(make_table):
    folder = make_table()
    (folder / "../../ours/metrics.json").unlink()
    (folder / "../../face-model/failed.txt").write_text("NaN loss at step 7")
    row = rows_of(folder)["Ours (Others)"]
    assert (row.state, row.reason) == ("failed", "face-model: NaN loss at step 7")
    assert rows_of(folder)["SPADE (Fine-tuning)"].state == "measured"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"FD-EffNetLite0": 3}', '{"FD-EffNetLite0": {}}', '{"FD-EffNetLite0": {"value": "x"}}']
)
def test_unreadable_metrics_is_a_failed_row(make_table, text):
    folder = make_table()
    (folder / "../../ours/metrics.json").write_text(text)
    row = rows_of(folder)["Ours (Others)"]
    assert row.state == "failed"
    assert "unreadable result" in row.reason


@pytest.mark.filterwarnings("ignore:.*counts as missing")
@pytest.mark.parametrize("size", [0, 30])
@pytest.mark.parametrize(
    ("name", "state"),
    [("metrics.json", "failed"), ("replicates.npz", "failed"), ("config.json", "measured"), ("provenance.json", "measured")],
)  # fmt: skip
def test_a_damaged_file_of_a_run_is_named_and_stops_no_report(make_table, name, size, state):
    folder = make_table()
    path = folder.parents[1] / "ours" / name
    path.write_bytes(path.read_bytes()[:size])
    row = rows_of(folder)["Ours (Others)"]
    assert row.state == state
    assert (f"{path} is damaged" in row.reason) is (state == "failed")


def test_value_that_is_not_finite_is_missing(make_table):
    folder = make_table()
    (folder / "../../ours/metrics.json").write_text('{"mIoU": {"value": 0.5}, "FD-EffNetLite0": {"value": NaN}}')
    fid, iou = rows_of(folder)["Ours (Others)"].cells
    assert (fid.value, fid.verdict) == (None, None)
    assert fid.reason == "no finite FD-EffNetLite0 in metrics.json"
    assert (iou.value, iou.interval, iou.n) == (0.5, None, None)


def test_images_that_share_test_images_are_told(make_table):
    folder = make_table()
    path = folder / "../../ours/metrics.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({name: entry | {"n": 256, "test_images": 2} for name, entry in stored.items()}))
    rows = rows_of(folder)
    assert "256 images are made for 2 test images" in rows["Ours (Others)"].reason
    assert rows["SPADE (Fine-tuning)"].reason == ""


def test_seeds_that_share_a_folder_are_one_measurement(make_table):
    def change(stored):
        stored["rows"][-1]["runs"] = [{"seed": s, "folder": "../../real", "name": "real"} for s in range(3)]

    cell = rows_of(make_table("mini", change))["Real images (Ceiling)"].cells[0]
    assert cell.seeds == (0,)
    assert cell.interval == pytest.approx((7.52, 8.48))


def test_best_leaves_out_the_ceiling(make_table):
    table = load_table(make_table() / "table.json")
    best = {row.label for row in table.rows if row.cells[0].best}
    assert best == {"Ours", "Ours, 3 seeds"}


def test_nothing_is_comparable_at_mini(make_table):
    cells = rows_of(make_table())["SPADE (Fine-tuning)"].cells
    assert [cell.verdict for cell in cells] == ["not comparable"] * 2
    assert cells[0].reason == "the mini profile is not the published setting and FD-EffNetLite0 is not FID"
    assert cells[1].reason == "the mini profile is not the published setting"


@pytest.mark.parametrize(
    ("published", "verdict"), [(0.58, "within noise"), (0.52, "within noise"), (0.7, "differs"), (0.4, "differs")]
)
def test_verdicts_at_paper(make_table, published, verdict):
    def change(stored):
        stored["rows"][0]["published"]["mIoU"] = published

    cells = rows_of(make_table("paper", change))["SPADE (Fine-tuning)"].cells  # mIoU .55 +- .033
    assert cells[0].verdict == "not comparable"
    assert cells[1].verdict == verdict


def test_agrees_below_the_noise_floor(make_table):
    def change(stored):
        stored["rows"][0]["published"]["mIoU"] = 0.55 / 1.012

    folder = make_table("paper", change)
    (folder / "../../spade/metrics.json").write_text('{"mIoU": {"value": 0.55, "n": 5, "interval": [0.549, 0.551]}}')
    assert rows_of(folder)["SPADE (Fine-tuning)"].cells[1].verdict == "agrees"


def verdict_of(make_table, published, *, value=0.5, interval=None):
    """Cell of a row whose one seed scored so, at paper."""

    def change(stored):
        stored["rows"][0]["published"]["mIoU"] = published

    folder = make_table("paper", change)
    entry = {"value": value, "n": 5} | ({"interval": interval} if interval else {})
    (folder / "../../spade/metrics.json").write_text(json.dumps({"mIoU": entry}))
    return rows_of(folder)["SPADE (Fine-tuning)"].cells[1]


@pytest.mark.parametrize(
    ("value", "published", "interval", "verdict", "reason"),
    [
        (
            0.5,
            0.75,
            (0.25, 0.75),
            "within noise",
            TOO_WIDE,
        ),  # just at it
        (0.5, 0.625, (0.4375, 0.5625), "differs", "20.0% from the published value"),  # half is half of the width
        (
            0.5,
            0.375,
            (0.25, 0.75),
            "within noise",
            TOO_WIDE,
        ),  # on either side
        (1013.0, 1000.0, None, "agrees", "within 1.3% of the published value"),  # just at the floor, 13.0 in binary too
        (987.0, 1000.0, None, "agrees", "within 1.3% of the published value"),
        (1014.0, 1000.0, None, "differs", "1.4% from the published value"),
        (-1010.0, -1000.0, None, "agrees", "within 1.3% of the published value"),
        (-1100.0, -1000.0, None, "differs", "10.0% from the published value"),
        (1100.0, 1000.0, (1000.5, 1199.5), "differs", "10.0% from the published value"),  # a gap of 100, half is 99.5
        (0.5, 0.0, None, "differs", "published value is 0"),
        (0.0, 0.0, None, "agrees", "within 1.3% of the published value"),
    ],
)
def test_verdicts_at_their_boundaries(make_table, value, published, interval, verdict, reason):
    cell = verdict_of(make_table, published, value=value, interval=interval)
    assert (cell.verdict, cell.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("known", "verdict", "reason"),
    [
        ([{}], "not comparable", "only to ADM's batch"),  # measured before scores knew their reference
        ([{"comparable": False, "basis": "our images"}], "not comparable", "our images"),
        ([{"comparable": True, "basis": "ADM's images"}], "differs", "6.0% from the published value; ADM's images"),
        (
            [{"comparable": True, "basis": "ADM's images"}, {"comparable": False, "basis": "our images"}],
            "not comparable", "our images",
        ),
    ],
)  # fmt: skip
def test_a_score_knows_whether_its_reference_makes_it_comparable(make_table, known, verdict, reason):
    """One seed that was measured against other images is enough to compare nothing."""

    def change(stored):
        stored["metrics"][0].update(comparable=False, basis="only to ADM's batch")
        stored["rows"][0]["published"]["FID"] = 50.0
        stored["rows"][0]["runs"] = [
            {"seed": i, "folder": f"../../adm-{i}", "name": f"adm-{i}"} for i in range(len(known))
        ]

    folder = make_table("paper", change)
    for seed, facts in enumerate(known):
        run = folder / f"../../adm-{seed}"
        run.mkdir()
        entry = {"value": 53.0, "n": 500, "interval": [52.9, 53.1], **facts}
        (run / "metrics.json").write_text(json.dumps({"FD-EffNetLite0": entry}))
    cell = rows_of(folder)["SPADE (Fine-tuning)"].cells[0]
    assert (cell.verdict, cell.reason) == (verdict, reason)


def test_a_cell_without_a_published_number_has_no_verdict(make_table):
    cell = rows_of(make_table("paper"))["INADE (Combined training)"].cells[1]
    assert (cell.published, cell.verdict, cell.reason) == (None, None, "nothing published")


def test_two_seeds_use_students_t_too(make_table):
    folder = make_table()
    (folder / "../../inade-2/metrics.json").unlink()
    cell = rows_of(folder)["INADE (Combined training)"].cells[0]
    assert (cell.value, cell.seed_values) == (51.0, (50.0, 52.0))
    half = 12.7062 * math.sqrt(2) / math.sqrt(2)  # t with 1 degree of freedom; the deviation of 50, 52 is sqrt(2)
    assert cell.interval == pytest.approx((51 - half, 51 + half), abs=1e-3)


def test_the_smallest_number_of_images_is_told(make_table):
    folder = make_table()
    path = folder / "../../inade-1/metrics.json"
    path.write_text(path.read_text().replace("500", "100"))
    assert [cell.n for cell in rows_of(folder)["INADE (Combined training)"].cells] == [100, 100]


def test_seeds_of_which_none_is_measured_are_told_one_by_one(make_table):
    """Failed outranks stopped, which outranks pending; one seed alone needs no number."""
    folder = make_table()
    for seed in range(3):
        (folder / f"../../ours-{seed}/metrics.json").unlink()
    names = ("failed.txt", "shard-0.npz", "config.json", "done", "provenance.json", "replicates.npz")
    for name in names:
        (folder / "../../ours-2" / name).unlink(missing_ok=True)
    (folder / "../../ours-2").rmdir()
    row = rows_of(folder)["Ours, 3 seeds (Others)"]
    assert (row.state, row.reason) == ("stopped", f"seed 0: {STOPPED}; seed 1: {STOPPED}; seed 2: not started")
    with WorkLocks(RunFolder(folder / "../../ours-1").locks).try_acquire("shard-1"):
        row = rows_of(folder)["Ours, 3 seeds (Others)"]
    assert (row.state, row.reason) == (
        "running",
        f"seed 0: {STOPPED}; seed 1: started, not scored yet; seed 2: not started",
    )
    (folder / "../../ours-1/failed.txt").write_text("disk full")
    row = rows_of(folder)["Ours, 3 seeds (Others)"]
    assert (row.state, row.reason) == (
        "failed",
        f"seed 0: {STOPPED}; seed 1: failed: disk full; seed 2: not started",
    )
    assert [(cell.value, cell.reason) for cell in row.cells] == [(None, "failed")] * 2


def test_a_row_without_runs_needs_a_reason_or_says_that_it_has_none(make_table):
    row = rows_of(make_table("mini", lambda stored: stored["rows"][4].update(why=None)))["TediGAN (Others)"]
    assert (row.state, row.reason) == ("not measured", "no reason was given")
    assert [cell.reason for cell in row.cells] == ["not measured"] * 2


def test_a_protocol_that_could_not_be_measured_says_why(make_table):
    folder = make_table()
    (folder / "../../ours/metrics.json").write_text('{"mIoU": {"value": 0.5}}')
    (folder / "../../ours/unmeasured.json").write_text('{"FD-EffNetLite0": "no EfficientNet here"}')
    assert rows_of(folder)["Ours (Others)"].cells[0].reason == "no EfficientNet here"


def test_best_is_the_highest_where_higher_is_better_and_ties_share_it(make_table):
    folder = make_table()
    table = load_table(folder / "table.json")
    assert {row.label for row in table.rows if row.cells[1].best} == {"Ours", "Ours, 3 seeds"}
    path = folder / "../../ours/metrics.json"
    path.write_text(path.read_text().replace('"value": 0.81', '"value": 0.8'))
    table = load_table(folder / "table.json")
    assert {row.label for row in table.rows if row.cells[1].best} == {"Ours, 3 seeds"}


def test_a_ceiling_that_ties_and_columns_that_nobody_measured_are_not_best(make_table):
    folder = make_table("mini", lambda stored: stored["metrics"][1].update(protocol="unknown"))
    path = folder / "../../real/metrics.json"
    path.write_text(path.read_text().replace('"value": 8.0', '"value": 40.0'))
    rows = load_table(folder / "table.json").rows
    assert {row.label for row in rows if row.cells[0].best} == {"Ours", "Ours, 3 seeds"}
    assert not any(row.cells[1].best for row in rows)


def test_the_value_of_several_seeds_is_their_mean(make_table):
    folder = make_table()
    path = folder / "../../inade-1/metrics.json"
    path.write_text(path.read_text().replace('"value": 52.0', '"value": 55.0'))
    assert rows_of(folder)["INADE (Combined training)"].cells[0].value == 52.0


def test_runs_are_compared_with_their_twins_at_paper(make_table):
    folder = make_table()
    (folder / "paper.json").write_text(json.dumps({"spade": {"num_images": 3000}}))
    rows = rows_of(folder)
    assert rows["SPADE (Fine-tuning)"].runs[0].paper_config == {"num_images": 3000}
    assert not rows["OASIS (Fine-tuning)"].runs[0].paper_config


def test_claims(make_table):
    table = load_table(make_table() / "table.json")
    claims = {claim.id: claim for claim in table.claims}
    assert {id: claim.decision for id, claim in claims.items()} == {
        **{"UC1": "undecided", "UC2": "undecided", "UC3": "undecided"},
        **{"UC4": "holds", "UC5": "open", "UC6": "open", "UC7": "fails"},
    }
    assert claims["UC1"].difference == -20
    assert claims["UC1"].interval[0] < -20 < claims["UC1"].interval[1] < 0
    assert claims["UC2"].contradicted
    assert not claims["UC1"].contradicted
    assert (
        claims["UC1"].reason
        == "these images, one training: the interval is on the claimed side; 3 trainings or more decide"
    )
    assert (
        claims["UC2"].reason
        == "these images, one training: the interval is on the other side; 3 trainings or more decide"
    )
    assert claims["UC3"].reason == "these images, one training: the interval contains 0; 3 trainings or more decide"
    assert claims["UC4"].seeds == (0, 1, 2)
    assert claims["UC4"].interval == pytest.approx(t_interval([39 - 50, 40 - 52, 41 - 51]))
    assert "needs a StyleGAN2 checkpoint" in claims["UC5"].reason
    assert "more than one" in claims["UC6"].reason


def test_two_trainings_decide_nothing(make_table):
    def change(stored):
        for row in stored["rows"]:
            row["runs"] = row["runs"][:2]

    claim = next(c for c in load_table(make_table("mini", change) / "table.json").claims if c.id == "UC4")
    assert claim.decision == "undecided"
    assert claim.reason.startswith("these images, 2 trainings: the interval")


@pytest.mark.parametrize(
    ("ends", "decision", "sign"), [(("better", "worse"), "fails", 1), (("worse", "better"), "holds", -1)]
)
def test_real_images_meet_every_training_of_the_other_row(make_table, ends, decision, sign):
    """They come from no training, which another seed could change."""

    def change(stored):
        claim = next(claim for claim in stored["claims"] if claim["id"] == "UC4")
        claim.update(zip(ends, ("Ours, 3 seeds", "Real images")))

    claim = next(c for c in load_table(make_table("mini", change) / "table.json").claims if c.id == "UC4")
    assert (claim.decision, claim.seeds, claim.difference) == (decision, (0, 1, 2), sign * 32)
    assert claim.interval == pytest.approx(t_interval([sign * (value - 8) for value in (39, 40, 41)]))


def test_smoke_decides_nothing(make_table):
    claims = load_table(make_table("smoke") / "table.json").claims
    assert {claim.decision for claim in claims} == {"undecided", "open"}
    assert next(c for c in claims if c.id == "UC4").reason == "smoke numbers decide nothing"


def test_what_depends_on_no_training_is_decided_by_one(make_table):
    """A number of parameters, for example; its protocol says so in metrics.json."""
    folder = make_table()
    for name in ("ours", "spade"):
        path = folder / "../.." / name / "metrics.json"
        path.write_text(path.read_text().replace('"n":', '"exact": true, "n":'))
    claim = load_table(folder / "table.json").claims[0]
    assert (claim.decision, claim.reason, claim.interval) == ("holds", "exact numbers", (-20, -20))
    assert evidence.counts(claim) == "exact, seed 0"
    assert evidence.difference(claim) == "-20"
    assert evidence.tally([claim]) == "1 of 1 comparisons decided"  # and none by chance


def test_trainings_that_differ_by_the_same_decide_nothing(make_table):
    """Accuracies of few images take few values: that three differences are equal does not say that a fourth would be."""
    folder = make_table()
    for name, value in (("ours", 39.0), ("inade", 50.0)):
        for seed in range(3):
            path = folder / f"../../{name}-{seed}/metrics.json"
            stored = json.loads(path.read_text())
            stored["FD-EffNetLite0"]["value"] = value + 1e-13 * seed
            path.write_text(json.dumps(stored))
    claim = next(c for c in load_table(folder / "table.json").claims if c.id == "UC4")
    assert claim.decision == "undecided"
    assert claim.reason == "all 3 trainings differ by the same, which does not say how much others would"


def test_the_decided_and_what_chance_decides_are_counted(make_table):
    claims = load_table(make_table() / "table.json").claims
    assert evidence.tally(claims) == (
        "2 of 5 comparisons decided; up to 0.1 would be by chance if no row were better; "
        "3 cannot be, as fewer than 3 trainings decide nothing (--seeds 3)"
    )
    assert evidence.tally([]) == "nothing to compare yet"
    smoke = load_table(make_table("smoke") / "table.json").claims
    assert evidence.tally(smoke) == "0 of 5 comparisons decided; 5 cannot be, as smoke numbers decide nothing"


def test_pairing_matters(make_table):
    """Unpaired, the two intervals overlap; the paired difference is decided all the same."""

    def change(stored):
        stored["claims"] = [{**stored["claims"][0], "better": "OASIS"}]

    folder = make_table("mini", change)
    rows = rows_of(folder)
    assert rows["OASIS (Fine-tuning)"].cells[0].interval[1] > rows["SPADE (Fine-tuning)"].cells[0].interval[0]
    assert load_table(folder / "table.json").claims[0].interval[1] < 0


def test_replicates_of_different_length_are_not_paired(make_table):
    folder = make_table()
    np.savez(folder / "../../ours/replicates.npz", **{"FD-EffNetLite0": np.zeros(7)})
    claim = load_table(folder / "table.json").claims[0]
    assert (claim.decision, claim.difference, claim.interval) == ("undecided", -20, None)
    assert "7 and 400 bootstrap replicates" in claim.reason


def test_claim_on_different_images_is_undecided(make_table):
    folder = make_table()
    path = folder / "../../ours/metrics.json"
    path.write_text(path.read_text().replace("500", "250"))
    assert "250 and 500 images" in load_table(folder / "table.json").claims[0].reason


def test_bootstrap_interval_is_about_the_estimate():
    replicates = np.random.default_rng(0).normal(loc=7.0, size=20_000)
    assert bootstrap_interval(2.0, replicates, 10_000) == pytest.approx((2 - 1.96, 2 + 1.96), abs=0.05)
    assert bootstrap_interval(2.0, replicates, 4) == pytest.approx((2 - 3.67, 2 + 3.67), abs=0.1)  # 3.18 sqrt(4 / 3)
    assert bootstrap_interval(2.0, np.zeros(9), 1) == (2.0, 2.0)


def test_rows_are_found_by_group_and_label(make_table):
    rows = load_table(make_table() / "table.json").rows
    assert find_row(rows, "Ours").label == "Ours"
    for name in ("Fine-tuning/SPADE", "Fine-tuning / SPADE", "Fine-tuning: SPADE", "SPADE (Fine-tuning)"):
        assert find_row(rows, name).group == "Fine-tuning"
    assert find_row(rows, "SPADE") is None


def test_frame_has_a_line_for_every_cell(make_table):
    table = load_table(make_table() / "table.json")
    lines = frame(table)
    assert len(lines) == len(table.rows) * len(table.metrics)
    inade = lines[(lines.row == "INADE") & (lines.column == "FID")].iloc[0]
    cell = rows_of(table.folder)["INADE (Combined training)"].cells[0]
    assert (inade.low, inade.high) == cell.interval
    assert (inade.seeds, inade.seed_values, inade.n) == ("0 1 2", "50.0 52.0 51.0", 500)
    assert (inade.group, inade.protocol, inade.better, inade.published) == (
        "Combined training",
        "FD-EffNetLite0",
        "lower",
        "54.27",
    )
    empty = lines[lines.row == "TediGAN"].iloc[0]
    assert pd.isna(empty.low)
    assert pd.isna(empty.n)


def test_json_has_the_cells_by_column(make_table):
    table = load_table(make_table() / "table.json")
    stored = as_json(table)
    row = stored["rows"][0]
    assert (row["group"], row["label"], row["state"], list(row["cells"])) == (
        "Fine-tuning",
        "SPADE",
        "measured",
        ["FID", "mIoU"],
    )
    assert row["cells"]["mIoU"]["value"] == 0.55
    assert [claim["decision"] for claim in stored["claims"]] == [claim.decision for claim in table.claims]


def test_differences_name_the_leaf():
    here = {"trainer": {"max_steps": 3, "devices": 1}, "data": [{"image_size": 32}]}
    there = {"trainer": {"max_steps": 500, "devices": 1}, "data": [{"image_size": 256}], "note": "x"}
    assert differences(here, there) == [
        ("trainer.max_steps", 3, 500),
        ("data[0].image_size", 32, 256),
        ("note", "absent", "x"),
    ]


def test_a_file_that_is_no_table_is_named(tmp_path):
    path = tmp_path / "table.json"
    with pytest.raises(ValueError, match="no such file; run"):
        load_table(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="is damaged .*; run the table's own command again"):
        load_table(path)
    path.write_text(json.dumps({"name": "table1"}))
    with pytest.raises(ValueError, match="lacks title, paper"):
        load_table(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="is damaged .it holds a list"):
        load_table(path)


@pytest.mark.parametrize("name", ["", "a/b", "/tmp"])
def test_the_name_of_a_table_is_no_path(make_table, name):
    folder = make_table("mini", lambda stored: stored.update(name=name))
    with pytest.raises(ValueError, match=f"the name of a table is the name of its files, found '{name}'"):
        load_table(folder / "table.json")
