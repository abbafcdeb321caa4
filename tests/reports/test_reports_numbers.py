"""What a number looks like: its interval and range, its best, the published one, and what stands behind it, in every format."""

import io
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from reports import basis, format
from reports.latex import latex
from reports.markdown import markdown
from reports.render import STYLES, terminal
from reports.results import load_table
from reports.site import write_site
from reports.statistics import cut, share_interval
from reports.templating import TEMPLATES
from reports.values import frame
from reports.write import write_all


def score(folder, name, protocol="mIoU", **fields):
    """Change what a run has measured."""
    path = folder / "../.." / name / "metrics.json"
    stored = json.loads(path.read_text())
    stored[protocol] |= fields
    path.write_text(json.dumps(stored))


def cell_of(folder, label, column=1):
    table = load_table(folder / "table.json")
    return table, next(row.cells[column] for row in table.rows if row.title == label)


def ranged(stored):
    stored["metrics"][1]["range"] = [0, 1]


def test_an_interval_ends_where_the_range_of_its_metric_does(make_table):
    folder = make_table("mini", ranged)
    score(folder, "spade", value=0.98, interval=[0.92, 1.04])
    table, cell = cell_of(folder, "SPADE (Fine-tuning)")
    assert (cell.interval, cell.cut) == ((0.92, 1.0), True)
    assert basis.interval(table, 1, cell) == "[0.920, 1.000]°"
    assert "intervals end where the metric's range does" in basis.reading(table)
    assert frame(table).query("row == 'SPADE' and column == 'mIoU'").interval_cut.tolist() == [True, False]
    _, other = cell_of(folder, "OASIS (Fine-tuning)")
    assert not other.cut


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [((None, None), (-0.2, 1.3)), ((0.0, None), (0.0, 1.3)), ((0.0, 1.0), (0.0, 1.0)), ((-1.0, 1.0), (-0.2, 1.0))],
)
def test_cut(bounds, expected):
    assert cut((-0.2, 1.3), *bounds) == expected


def test_a_difference_cannot_exceed_the_range(make_table):
    def change(stored):
        ranged(stored)
        stored["claims"] = [{**stored["claims"][3], "metric": "mIoU"}]

    folder = make_table("mini", change)
    for seed, value in enumerate((0.0, 1.0, 1.0)):
        score(folder, f"ours-{seed}", value=value)
    (claim,) = load_table(folder / "table.json").claims
    assert claim.interval[0] == -1.0
    assert claim.decision == "undecided"


@pytest.mark.parametrize(("value", "expected"), [(1.0, (0.6306, 1.0)), (0.0, (0.0, 0.3694))])
def test_a_share_of_which_all_images_agree_has_clopper_and_pearsons_interval(make_table, value, expected):
    """8 of 8: the lower limit is .025^(1/8)."""
    folder = make_table("mini", ranged)
    score(folder, "spade", value=value, interval=[value, value], n=8)
    table, cell = cell_of(folder, "SPADE (Fine-tuning)")
    assert cell.interval == pytest.approx(expected, abs=1e-4)
    assert share_interval(value, 8) == cell.interval
    assert "alike" not in basis.interval(table, 1, cell)


def test_that_interval_covers_a_share_as_often_as_it_says():
    """The worst shares are those at which 8 of 8 has a chance of .025 and less, so 97.5% of intervals cover."""
    rng = np.random.default_rng(0)
    for share in (0.6, 0.9, 0.99):
        hits = rng.random((20_000, 8)) < share
        misses = hits.all(axis=1) & (share < share_interval(1.0, 8)[0])
        assert misses.mean() <= 0.025


def test_numbers_without_a_spread_do_not_look_exact(make_table):
    folder = make_table()
    score(folder, "spade", value=0.3, interval=[0.3, 0.3], n=8)
    table, cell = cell_of(folder, "SPADE (Fine-tuning)")
    assert basis.interval(table, 1, cell) == "(all 8 images alike)"
    assert "'alike' says nothing of other images or trainings" in basis.reading(table)
    for seed in range(3):
        score(folder, f"ours-{seed}", value=0.8, interval=[0.8, 0.8])
    table, cell = cell_of(folder, "Ours, 3 seeds (Others)")
    assert basis.interval(table, 1, cell) == "(all 3 trainings alike)"


def test_exact_numbers_have_no_interval_and_no_images(make_table):
    folder = make_table()
    for name in ("spade", "inade-0", "inade-1", "inade-2"):
        for protocol in ("mIoU", "FD-EffNetLite0"):
            score(folder, name, protocol, value=0.3, exact=True)
    for label, seeds in (("SPADE (Fine-tuning)", "seed 0"), ("INADE (Combined training)", "seeds 0 1 2")):
        table, cell = cell_of(folder, label)
        assert (cell.interval, cell.over, cell.n) == (None, "", None)
        assert basis.made_from(next(row for row in table.rows if row.title == label)) == f"no interval, {seeds}"


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([0.5, 0.9, 0.1], {1}),
        ([0.5, 0.9, 0.9], set()),  # two of three
        ([0.9, 0.9, 0.1, 0.2, 0.3, 0.4], {0, 1}),  # a third
        ([0.9, 0.9 + 1e-12, 0.1], {1}),  # prints alike, is not equal
        ([0.9, 0.9, 0.9], set()),
        ([0.9], set()),  # the best of nothing
    ],
)
def test_few_rows_that_tie_share_the_best_and_many_do_not(make_table, values, best):
    names = ("spade", "oasis", "spade-c", "ours", "inade-0", "inade-1")[: len(values)]

    def change(stored):
        run = {"group": "", "published": None, "why": None, "ceiling": False}
        rows = [{**run, "label": n, "runs": [{"seed": 0, "folder": f"../../{n}", "name": n}]} for n in names]
        stored.update(rows=rows, claims=[])

    folder = make_table("mini", change)
    for name, value in zip(names, values, strict=True):
        score(folder, name, value=value)
    rows = load_table(folder / "table.json").rows
    assert {i for i, row in enumerate(rows) if row.cells[1].best} == best


@pytest.mark.parametrize("half", [0.001, 0.005, 0.02, 0.2, 2.0])
@pytest.mark.parametrize("published", [0.5, 0.504, 0.51, 0.6])
def test_a_wider_interval_is_no_success(make_table, half, published):
    def change(stored):
        stored["rows"][0]["published"]["mIoU"] = published

    folder = make_table("paper", change)
    score(folder, "spade", value=0.5, interval=[0.5 - half, 0.5 + half])
    _, cell = cell_of(folder, "SPADE (Fine-tuning)")
    narrow = half <= 0.013 * published
    if abs(published - 0.5) <= 0.013 * published and narrow:
        assert cell.verdict == "agrees"
    else:
        assert cell.verdict == ("within noise" if half >= published - 0.5 else "differs")
    assert STYLES["within noise"] == "yellow"
    assert not re.search(r"\.within[^{]*\{color:var\(--good\)", (TEMPLATES / "style.css").read_text())


def test_published_numbers_print_as_published(make_table):
    def change(stored):
        for row, value in zip(stored["rows"], (0.638, 0.624, 0.4, 0.4823, 0.611), strict=False):
            row["published"] = {"mIoU": value, "FID": 26.09}
        stored["rows"][0]["published"]["FID"] = 71.2

    table = load_table(make_table("mini", change) / "table.json")
    assert [row.cells[1].printed for row in table.rows[:5]] == ["0.638", "0.624", "0.400", "0.4823", "0.611"]
    assert [row.cells[0].printed for row in table.rows[:2]] == ["71.20", "26.09"]
    claim = next(claim for claim in table.claims if claim.id == "UC3")
    assert claim.printed == ("26.09", "71.20")


def test_intervals_over_images_are_marked_beside_those_over_trainings(make_table):
    folder = make_table()
    table, images = cell_of(folder, "SPADE (Fine-tuning)", 0)
    _, trainings = cell_of(folder, "INADE (Combined training)", 0)
    assert (images.over, trainings.over) == ("images", "trainings")
    assert basis.interval(table, 0, images) == "[56.40, 63.60]°"
    assert basis.interval(table, 0, trainings) == "[47.94, 54.06]"
    assert "over trainings (Student's t), or over images (bootstrap) where marked °" in basis.reading(table)
    assert r"\textsuperscript{$\circ$}" in latex(table)
    lines = frame(table).dropna(subset=["low"])
    assert set(lines[lines.row == "INADE"].interval_over) == {"trainings"}
    assert set(lines[lines.row == "Real images"].interval_over) == {"images"}

    def alone(stored):
        stored["rows"] = [row for row in stored["rows"] if len(row["runs"]) < 2]
        stored["claims"] = []

    table = load_table(make_table("smoke", alone) / "table.json")
    assert "°" not in markdown(table)
    assert "[95% interval over images (bootstrap)]" in basis.reading(table)


BEHIND = (
    "n=500",
    "against 400 real test images",
    "seeds 0 1 2",
    "over trainings",
    "over images",
    "0123456789ab",
    "2 CPU cores",
)


@pytest.fixture
def written(make_table):
    folder = make_table()
    for name in (
        "spade",
        "oasis",
        "spade-c",
        "ours",
        "inade-0",
        "inade-1",
        "inade-2",
        "real",
        "ours-0",
        "ours-1",
        "ours-2",
    ):
        score(folder, name, "FD-EffNetLite0", reference="400 real test images of celebamask_hq")
    write_all(folder)
    return folder


def test_every_format_says_what_stands_behind_its_numbers(written):
    """Images, reference images, seeds, kind of interval, commit, profile, hardware."""
    executed = nbformat.read(written / "table1.ipynb", as_version=4)
    outputs = [
        out.get("data", {}).get("text/html", "") for c in executed.cells if c.cell_type == "code" for out in c.outputs
    ]
    terminal_text = Console(file=io.StringIO(), width=400)
    terminal_text.print(terminal(load_table(written / "table.json")))
    texts = {
        "md": (written / "table.md").read_text(),
        "tex": (written / "table-full.tex").read_text(),
        "html": (written / "table1.html").read_text(),
        "ipynb": " ".join(c.source for c in executed.cells if c.cell_type == "markdown") + " ".join(outputs),
        "terminal": terminal_text.file.getvalue(),
    }
    for name, text in texts.items():
        for expected in (*BEHIND, "profile mini"):
            assert expected in text, f"{name}: {expected}"
    read = pd.read_csv(written / "table.csv", keep_default_na=False)
    line = read[(read["row"] == "INADE") & (read["column"] == "FID")].iloc[0].to_dict()
    assert {key: line[key] for key in ("n", "reference", "seeds", "interval_over", "commits", "profile", "hardware")} == {
        "n": "500", "reference": "400 real test images of celebamask_hq", "seeds": "0 1 2", "interval_over": "trainings",
        "commits": "0123456789abcdef", "profile": "mini", "hardware": "2 CPU cores",
    }  # fmt: skip


def test_what_earlier_versions_wrote_still_reports(make_table):
    """A metrics.json with values alone and no replicates; a table.json whose columns and claims lack what came later."""

    def change(stored):
        for column in stored["metrics"]:
            assert not column.keys() & {"range", "source", "comparable", "basis"}
        for claim in stored["claims"]:
            for later in ("source", "published", "note"):
                del claim[later]
        for row in stored["rows"]:
            for later in ("group", "published", "why", "ceiling"):
                if not row[later]:
                    del row[later]

    folder = make_table("paper", change)
    for path in folder.parents[1].glob("*/metrics.json"):
        stored = json.loads(path.read_text())
        path.write_text(json.dumps({protocol: {"value": entry["value"]} for protocol, entry in stored.items()}))
        path.with_name("replicates.npz").unlink()
    write_all(folder, with_notebook=False)
    table = load_table(folder / "table.json")
    cells = next(row for row in table.rows if row.title == "SPADE (Fine-tuning)").cells
    assert [(c.value, c.interval, c.n, c.reference) for c in cells] == [(60.0, None, None, ""), (0.55, None, None, "")]
    assert cells[0].reason == "FD-EffNetLite0 is not FID"
    assert cells[1].verdict == "differs"  # the protocol has the name of the column
    claims = {claim.id: claim for claim in table.claims}
    assert (claims["UC1"].decision, claims["UC1"].reason) == (
        "undecided",
        "metrics.json does not say of how many images FD-EffNetLite0 is, so nothing can be paired",
    )
    assert claims["UC4"].decision == "holds"  # by three trainings
    for name in ("table.md", "table-full.tex", "table.csv", "table1.html"):
        assert "131.91" in (folder / name).read_text(), name


def test_commits_of_runs_are_told_where_they_are_others(make_table):
    folder = make_table()
    path = folder / "../../ours/provenance.json"
    path.write_text(path.read_text().replace("0123456789abcdef", "fedcba9876543210"))
    assert "commit 0123456789ab with local changes (runs also of fedcba987654)" in basis.made_by(
        load_table(folder / "table.json")
    )


def test_published_checkpoints_are_named_with_their_digest(make_table):
    """Where a reader sees them: in the head of the text, and among what the page says of its origin."""
    folder = make_table()
    path = folder / "../../ours/provenance.json"
    stored = json.loads(path.read_text())
    files = {"adm_64": {"file": "<b>64.pt", "sha256": "a" * 64}, "odd": "no object", "empty": {}}
    stored["stage"]["sample"]["checkpoints"] = files
    path.write_text(json.dumps(stored))
    assert "published checkpoints <b>64.pt (SHA-256 aaaaaaaaaaaa)" in basis.made_by(load_table(folder / "table.json"))
    write_all(folder, with_notebook=False)
    page = (folder / "table1.html").read_text()
    assert re.search(r"published checkpoints</b></th>\s*<td[^>]*>&lt;b&gt;64.pt \(SHA-256 aaaaaaaaaaaa\)<", page)


@pytest.mark.parametrize("with_notebooks", [True])
def test_smoke_claims_no_success_anywhere(make_table, with_notebooks):
    def exact(stored):
        stored["metrics"][1]["protocol"] = "mIoU"

    folder = make_table("smoke", exact)
    for name in ("spade", "ours"):
        score(folder, name, exact=True)
    write_site(folder.parents[1], (), with_notebooks=with_notebooks)
    files = [path for path in folder.parents[1].rglob("*") if path.suffix in (".md", ".tex", ".html", ".ipynb", ".csv")]
    assert len(files) > 8
    for path in files:
        text = re.sub(r"<style>.*?</style>|iVBOR[^\"]*", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"\b(holds|agrees)\b", text), path
    tally = "comparisons decided; {} cannot be, as smoke numbers decide nothing"
    assert tally.format(4) in (folder / "table.md").read_text()
    assert tally.format(4) in (folder / "table1.html").read_text()
    assert tally.format(5) in (folder.parents[1] / "site" / "index.html").read_text()
    assert tally.format(4) in (folder / "table1.ipynb").read_text()


def test_a_number_keeps_its_sign_only_if_it_is_not_zero():
    assert format.number(-0.0001, 3) == "0.000"
