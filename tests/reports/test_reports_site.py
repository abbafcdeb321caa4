"""The site of all tables: every link leads somewhere, half-finished runs are told, and no text becomes markup."""

import json
import re
import shutil

import pandas as pd
import pytest
from half_runs import shards
from PIL import Image
from site_files import Page, broken, only_our_script, pages

from reports.deviations import deviations, settings
from reports.index import read_index, write_index
from reports.notebook import NotebookError
from reports.overview import look
from reports.results import load_table
from reports.schema import Entry
from reports.site import slug, write_site

INDEX = (
    Entry(name="table1", source="A paper, Table 1", shows="one thing", mini="13 min", paper="days"),
    Entry(name="table7", source="A paper, Table 7", shows="another <thing>", mini="5 min", paper="weeks"),
)
ATTACK = '"><img src=x onerror=alert(1)> & <script>'


def test_every_link_of_the_site_leads_somewhere(profile):
    index, troubles = write_site(profile, INDEX, with_notebooks=False)
    assert index == profile / "site" / "index.html"
    assert not troubles
    assert broken(index.parent) == []
    for path, page in pages(index.parent).items():
        only_our_script(path.read_text())
        assert "@import" not in path.read_text()
        assert "url(" not in path.read_text()
        assert len(page.ids) == len(set(page.ids)), path
        assert str(profile.parent) not in path.read_text(), "a path of this machine"
    assert not list(index.parent.rglob(".*"))


def test_the_site_holds_everything_it_shows(profile, tmp_path):
    write_site(profile, INDEX, with_notebooks=False)
    moved = shutil.copytree(profile / "site", tmp_path / "elsewhere")
    assert broken(moved) == []


def test_index_has_every_table_row_and_claim(profile):
    index, _ = write_site(profile, INDEX, with_notebooks=False)
    words = Page(index.read_text()).words
    for expected in (
        "table1",
        "table7",
        "not started",
        "another <thing>",
        "5 min",
        "1 of 2",
        "UC1: ours has the lowest FID",
        "7 of 11 rows measured",
    ):
        assert expected in words
    table = load_table(profile / "tables" / "table1" / "table.json")
    for row in table.rows:
        assert row.title in words
    for state in ("7 measured", "1 failed", "1 stopped", "1 pending", "1 not measured"):
        assert state in words


def test_numbers_lead_to_their_samples(profile):
    write_site(profile, INDEX, with_notebooks=False)
    text = (profile / "site" / "table1.html").read_text()
    (number,) = re.findall(r'<a href="#samples-(\d+)"><?b?>?40\.00', text)
    with Image.open(profile / "site" / "table1" / f"samples-{number}.jpg") as picture:
        assert picture.size == (4 * 66, 66)  # four of 16 pixels, four times as large
    assert f'id="samples-{number}"' in text


def test_a_hostile_caption_and_run_name_are_only_text(make_table, hostile):
    def change(stored):
        stored["galleries"][0]["caption"] = ATTACK
        stored["rows"][0]["runs"] = [{"seed": 0, "name": ATTACK, "folder": f"../../{folder_name}"}]

    folder_name = ATTACK.replace("/", "")
    folder = make_table("mini", change)
    runs = folder.parents[1]
    (runs / "spade").rename(runs / folder_name)
    config = {
        "type": "SampleRun",
        "name": ATTACK,
        "num_images": 8,
        "experts": [{"run": {"type": "TrainRun", "name": ATTACK}}],
    }
    (runs / folder_name / "config.json").write_text(json.dumps(config))
    (runs / folder_name / "loss.csv").write_text(f'step,"{ATTACK.replace(chr(34), chr(34) * 2)}"\n10,0.5\n')
    (runs / folder_name / "failed.txt").write_text(ATTACK)
    shards(runs / folder_name, 1)
    shutil.copy(folder / "gallery-main.png", folder / "a b#c%20<x>.png")
    stored = json.loads((folder / "table.json").read_text())
    stored["galleries"].append({"title": ATTACK, "caption": hostile, "file": "a b#c%20<x>.png"})
    (folder / "table.json").write_text(json.dumps(stored))
    write_site(runs, INDEX, with_notebooks=False)
    assert broken(runs / "site") == []
    for path, page in pages(runs / "site").items():
        assert page.tags.count("script") == 1, path
        assert "<script>alert" not in path.read_text()
        assert "<img src=x" not in path.read_text()
    words = Page((runs / "site" / "table1.html").read_text()).words
    assert words.count(ATTACK) >= 4  # caption, title, run, curve
    assert ATTACK in Page((runs / "site" / "runs.html").read_text()).words


def test_names_of_files_are_harmless_and_distinct():
    names = ["table1", "a/b", "a_b", "..", ".hidden", ATTACK, "ours-celeba-seed1", "sweep-a0.5-w1"]
    slugs = [slug(name) for name in names]
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", s) for s in slugs)
    assert len(set(slugs)) == len(names)
    assert slug("sweep-a0.5-w1") == "sweep-a0.5-w1"


def test_an_unreadable_table_does_not_stop_the_site(profile):
    (profile / "tables" / "table7").mkdir()
    (profile / "tables" / "table7" / "table.json").write_text('{"half')
    index, _ = write_site(profile, INDEX, with_notebooks=False)
    words = Page(index.read_text()).words
    assert "tables/table7/table.json is damaged" in words
    assert (profile / "site" / "table1.html").is_file()


def test_a_notebook_that_fails_does_not_stop_the_site(profile, monkeypatch):
    def fail(*_args, **_options):
        raise NotebookError("no kernel here")

    monkeypatch.setattr("reports.notebook.execute", fail)
    index, troubles = write_site(profile, INDEX)
    assert troubles == ["no kernel here"]
    assert broken(index.parent) == []


def test_nothing_to_report(tmp_path):
    with pytest.raises(ValueError, match=r"no runs and no tables; run a table first \(python -m experiments lists"):
        look(tmp_path / "mini", INDEX)


def test_tables_that_were_never_run_are_listed_where_an_index_is_on_disk(profile):
    """Folders of earlier versions have none."""
    index, _ = write_site(profile, read_index(profile), with_notebooks=False)
    assert "table7" not in pages(index.parent)[index].words
    assert "Tables that were never run are not listed" in pages(index.parent)[index].words
    write_index(profile, INDEX)
    assert read_index(profile) == INDEX
    write_site(profile, read_index(profile), with_notebooks=False)
    assert "another <thing>" in pages(index.parent)[index].words
    assert "never run are not listed" not in pages(index.parent)[index].words


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "table1"}]', '{"a": {"name": 1}}'])
def test_an_index_that_cannot_be_read_counts_as_none(profile, text):
    (profile / "tables" / "index.json").write_text(text)
    assert read_index(profile) == ()


def test_an_index_may_say_more_than_we_know(profile):
    write_index(profile, INDEX[:1])
    path = profile / "tables" / "index.json"
    path.write_text(path.read_text().replace('"name"', '"since": 2027, "name"'))
    assert read_index(profile) == INDEX[:1]


def test_smoke_is_watermarked_on_every_page_with_numbers(make_table):
    index, _ = write_site(make_table("smoke").parents[1], INDEX, with_notebooks=False)
    for page in pages(index.parent).values():
        assert "SMOKE: meaningless numbers" in page.words


def test_what_differed_and_why(make_table):
    folder = make_table()
    paper = {"ours": json.loads((folder / "../../ours/config.json").read_text().replace("300", "500000"))}
    (folder / "paper.json").write_text(json.dumps(paper))
    found = {d.what: (d.paper, d.here, d.why) for d in deviations(load_table(folder / "table.json"))}
    assert found["column FID"][:2] == ("FID", "FD-EffNetLite0")
    assert found["Others: TediGAN"] == ("published", "not measured", "needs a StyleGAN2 checkpoint")
    (setting,) = settings(load_table(folder / "table.json"))
    assert (setting.what, setting.paper, setting.here) == ("trainer.max_steps", "500000", "300")
    assert setting.why == "mini profile, 1 of 10 rows with runs"
    assert not any("UC3" in what for what in found)  # our own question
    assert "Ceiling: Real images" in next(what for what in found if "Ours, 3 seeds" in what)
    claim = next(entry for what, entry in found.items() if what.startswith("claim UC2"))
    assert claim[1].startswith("undecided on mIoU (-0.26 [")  # listed as the paper contradicts it
    assert not any(what.startswith(("claim UC1", "claim UC3")) for what in found)  # one training decides nothing
    assert any(what.startswith("claim UC7") for what in found)


def test_a_renamed_type_is_no_deviation(make_table):
    folder = make_table()
    ours = folder.parents[1] / "ours" / "config.json"
    config = json.loads(ours.read_text())
    now = {**config, "members": [{"type": "Collaborator", "conditions": ["text"]}]}
    old = {**config, "members": [{"type": "Member", "conditions": ["mask"]}]}
    ours.write_text(json.dumps(old))
    for ours_paper, expected in ((now, ["members[0].conditions"]), (old, [])):
        (folder / "paper.json").write_text(json.dumps({"ours": ours_paper}))
        found = [d.what for d in settings(load_table(folder / "table.json"))]
        assert [what for what in found if what.startswith("members")] == expected


def test_exports_hold_every_table(profile):
    write_site(profile, INDEX, with_notebooks=False)
    site = profile / "site"
    table = load_table(profile / "tables" / "table1" / "table.json")
    assert len(pd.read_csv(site / "tables.csv")) == len(table.rows) * len(table.metrics)
    assert list(pd.read_csv(site / "claims.csv")["id"]) == [claim.id for claim in table.claims]
    assert (site / "tables.tex").read_text().count(r"\begin{table}") == 1
    assert (site / "tables.md").read_text().startswith("# Unite and Conquer, Table 1")
