"""Pictures of the documentation: which strips, how large, with which words, and what the page shows of them."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from lightning_mmdiff.errors import UserError
from reports import doc_pictures, recorded, results_page, sheet
from reports.results import load_table

SIDE, COUNT = 16, 10
STEP = 4 * SIDE + 2


def strip(folder, name, color, *, noise=0):
    """Ten pictures of one color, or of noise, side by side."""
    pixels = np.full((SIDE, COUNT * SIDE, 3), color, dtype=np.uint8)
    if noise:
        pixels = np.random.default_rng(noise).integers(0, 256, pixels.shape, dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{name}.png")
    return f"{name}.png"


def gallery(title, strips, **fields):
    entries = [{"label": label, "row": row, "file": file} for label, row, file in strips]
    return {
        "title": title,
        "caption": f"Caption of {title}.",
        "file": "sheet.png",
        "strips": entries,
        "count": COUNT,
        **fields,
    }


@pytest.fixture
def folder(make_table, tmp_path):
    """Table with two sheets, whose rows have other conditions, with a map of values, a chart and a figure."""

    def change(stored):
        line = {"label": "hair", "points": [[0, 0.5], [9, 0.25]]}
        figure = {"title": "Over time", "caption": "Mean.", "x": "t", "lines": [line]}
        stored["figures"] = [{**figure, "y": y} for y in ("Ours", "Other")]
        given = ("condition: hair", "", "hair.png")
        ours, spade, late = (
            [(title, title, f"{file}.png"), (f"{title}, parsed", title, f"{file}-map.png")]
            for title, file in (("Ours (Others)", "ours"), ("SPADE", "spade"), ("Late", "late"))
        )
        other = ("condition: face", "", "face.png")
        maps = [(title, "Ours (Others)", f"{file}.png") for title, file in (("Ours", "ours"), ("influence", "map"))]
        bar = {"low": "0", "high": "1", "colors": ["#000000", "#ffffff"]}
        hair, skin = [["hair", "#ff0000"]], [["skin", "#00ff00"]]
        stored["galleries"] = [
            gallery("Samples, sheet 1", [given, *ours], legend=hair, captions=["a face"] * COUNT),
            gallery("Samples, sheet 2", [given, *spade, given, other, *late], legend=skin),
            gallery("Influence: Ours", maps, bar=bar),
            {"title": "Chart", "caption": "A chart.", "file": "chart.png"},
        ]

    folder = make_table(change=change)
    colors = {
        "hair": 10,
        "ours": 20,
        "ours-map": 30,
        "spade": 40,
        "spade-map": 50,
        "face": 60,
        "late": 70,
        "late-map": 80,
        "map": 90,
    }
    for name, color in colors.items():
        strip(folder, name, color)
    Image.new("RGB", (50, 40), "blue").save(folder / "chart.png")
    (tmp_path / "results").mkdir()
    return folder


def draw(folder, line, docs):
    (docs / "results" / "table1.md").write_text(f"Text.\n\n{{picture {line}}}\n")
    (path,) = doc_pictures.draw(folder.parents[1], "table1", docs)
    return path


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")), image.text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("Ours (Others)", [10, 20, 30]),
        ("SPADE | Ours (Others)", [10, 40, 50, 20, 30]),  # the same conditions stand once
        ("Ours (Others)|Late", [10, 20, 30, 60, 70, 80]),  # only what is new
        ("Influence: Ours", [20, 90]),
    ],
)
def test_rows_stand_below_their_conditions_at_four_times_their_size(folder, tmp_path, names, expected):
    pixels, texts = opened(draw(folder, f"a.png: {names}", tmp_path))
    centers = pixels[STEP // 2 : STEP * len(expected) : STEP, sheet.LABEL_WIDTH + STEP // 2 :: STEP]
    assert centers.shape == (len(expected), 8, 3)
    assert (centers == np.array(expected)[:, None, None]).all()
    assert re.fullmatch(r"Caption of [\w:, ]+\. Enlarged 4 times; 8 images\.", texts["Description"])
    assert texts["Source"].startswith("python -m experiments.table1 --profile mini; profile mini; commit 0123456789ab")


def test_legends_of_all_sheets_are_shown(folder, tmp_path):
    pixels, _ = opened(draw(folder, "a.png: Ours (Others) | Late", tmp_path))
    below = pixels[6 * STEP :].reshape(-1, 3).tolist()
    assert [255, 0, 0] in below
    assert [0, 255, 0] in below


def test_fewer_images_where_the_file_would_be_too_large(folder, tmp_path, monkeypatch):
    for number, name in enumerate(("hair", "ours", "ours-map"), 1):
        strip(folder, name, 0, noise=number)
    whole = draw(folder, "a.png: Ours (Others)", tmp_path).stat().st_size
    monkeypatch.setattr(doc_pictures, "MAX_BYTES", whole - 1)
    path = draw(folder, "a.png: Ours (Others)", tmp_path)
    pixels, texts = opened(path)
    assert path.stat().st_size < whole
    assert pixels.shape[1] == sheet.LABEL_WIDTH + 6 * STEP
    assert texts["Description"].endswith("; 6 images.")
    monkeypatch.setattr(doc_pictures, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match=r"a\.png has .* bytes, more than 1,000; ask for fewer rows in .*table1\.md"):
        draw(folder, "a.png: Ours (Others)", tmp_path)


def test_charts_are_copied_and_figures_drawn(folder, tmp_path):
    pixels, texts = opened(draw(folder, "chart.png: Chart", tmp_path))
    assert pixels.shape == (40, 50, 3)
    assert (pixels == [0, 0, 255]).all()
    assert texts["Description"] == "A chart."
    pixels, texts = opened(draw(folder, "lines.png: Over time", tmp_path))
    assert pixels.shape == (320, 720, 3)  # two panels
    assert (pixels < 200).any()
    assert texts["Description"] == "Mean."


def test_a_name_that_nothing_has(folder, tmp_path):
    with pytest.raises(UserError, match=r"no pictures of Nobody; Started; there: Ours \(Others\); SPADE; Late"):
        draw(folder, "a.png: Nobody | Ours (Others) | Started", tmp_path)
    assert list(doc_pictures.draw(folder.parents[1], "table9", tmp_path)) == []  # no text
    (tmp_path / "results" / "table9.md").write_text("No picture, no table.")
    assert list(doc_pictures.draw(folder.parents[1], "table9", tmp_path)) == []


def test_the_page_shows_a_picture_that_is_there_with_its_caption(folder, tmp_path):
    results = tmp_path / "results"
    (results / "page.md").write_text("{table1}\n")
    (results / "table1.md").write_text("## Title\n\n{picture a.png: Ours (Others), w = 1.25}\n\nEnd.\n")
    recorded.write(load_table(folder / "table.json"), results / "table1.json")
    assert results_page.generate(results) == "## Title\n\nEnd.\n"
    Image.new("RGB", (5, 5)).save(tmp_path / "a.png")
    assert "![Ours (Others), w = 1.25](a.png)\n\nEnd." in results_page.generate(results)
    (results / "table1.md").write_text("## Title\n\n{picture a.png: Ours (Others)}\n")
    draw(folder, "a.png: Ours (Others)", tmp_path)
    page = results_page.generate(results)
    assert page.endswith("![Ours (Others)](a.png)\n\n*Caption of Samples, sheet 1. Enlarged 4 times; 8 images.*\n")
    assert json.loads((results / "table1.json").read_text())["name"] == "table1"
