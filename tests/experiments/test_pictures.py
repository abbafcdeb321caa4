"""One palette for conditions and parsed maps, its legend, and the files of a gallery."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.faces.classes import FACE_CLASSES, LABEL_CONDITIONS, NUM_CLASSES, PALETTE, label_condition
from experiments.figures import galleries, palette, quality, sheets
from experiments.figures.galleries import Strip
from reports import doc_pictures

LABELS = np.arange(NUM_CLASSES, dtype=np.uint8).reshape(1, 1, NUM_CLASSES)


@pytest.mark.parametrize("name", LABEL_CONDITIONS)
def test_a_condition_has_the_colors_of_the_parsed_map(name):
    """Wherever a condition says that a class is there, it has the color that the parser's map has."""
    parsed, shown = palette.label_maps(LABELS)[0, 0], palette.condition(name, label_condition(name, LABELS))[0, 0]
    for number, label in enumerate(FACE_CLASSES):
        inside = any(label in group for group in LABEL_CONDITIONS[name])
        assert (shown[number] == (parsed[number] if inside else 0)).all(), label


def test_a_mask_in_the_colors_of_the_data_is_shown_in_the_same():
    picture = PALETTE[LABELS].transpose(0, 3, 1, 2)
    assert np.array_equal(palette.condition("mask_picture", picture), palette.label_maps(LABELS))


def test_the_legend_names_what_is_there():
    labels = np.array([[[FACE_CLASSES.index(name) for name in ("hair", "l_eye", "r_eye", "u_lip")]]])
    legend = palette.legend([palette.label_maps(labels)])
    assert [name for name, _ in legend] == ["eyes", "mouth", "hair"]
    assert dict(legend)["hair"] == "#{:02x}{:02x}{:02x}".format(*PALETTE[FACE_CLASSES.index("hair")])
    assert len({color for _, color in palette.legend([palette.label_maps(LABELS)])}) == len(palette.PARTS)


def test_strips_are_stored_in_their_own_size_and_once(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    large = np.full((3, 256, 256, 3), 90, np.uint8)
    strips = [
        Strip(label="real", pictures=pictures),
        Strip(label="again", pictures=pictures),
        Strip(label="large", pictures=large),
    ]
    bar = {"low": "0", "high": "1", "colors": ["#000000", "#ffffff"]}
    entry = sheets.write(
        tmp_path / "gallery.png", "Title", "Words.", strips, captions=("a", "b", "a long text of words"), bar=bar
    )
    files = [strip["file"] for strip in entry["strips"]]
    assert files[0] == files[1] != files[2]
    with Image.open(tmp_path / files[0]) as strip:
        assert np.array_equal(np.asarray(strip), np.concatenate(list(pictures), axis=1))
    with Image.open(tmp_path / files[2]) as strip:
        assert strip.size == (3 * sheets.MAX_SIDE, sheets.MAX_SIDE)
    assert entry["bar"] == bar


ASKED = {
    path.stem: names
    for path in sorted((Path(__file__).parents[2] / "docs" / "results").glob("*.md"))
    if (names := {name for _, names in doc_pictures.wanted(path.read_text(encoding="utf-8")) for name in names})
}


@pytest.mark.parametrize("name", ASKED)
def test_pictures_of_the_page_are_of_rows_and_figures_that_tables_have(name: str) -> None:
    table = importlib.import_module(f"experiments.{name}").table("mini", 0)
    rows = [row for row in table.rows if row.sample and row.sample.method.makes_images]
    known = {galleries.title_of(row) for row in rows if not row.sample.method.is_real}
    if table.influence:
        known |= {f"Influence: {row.label}" for row in rows if row.sample.method.has_influence}
        known.add("Mean influence of the mask over time")
    if any(metric.protocol == quality.CALLS for metric in table.metrics):
        known.add("Quality over calls per image")
    assert ASKED[name] <= known
