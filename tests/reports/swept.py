"""A table that sweeps reliability and weight of two experts: rows with meaningless names, a picture strip for each."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

POINTS = {
    "spade": (0.0, 5), "oasis": (0.5, 5), "spade-c": (1.0, 5), "ours": (0.5, 1), "inade-0": (0.5, 8),
}  # fmt: skip
"""Run -> reliability of the text, weight of both."""
COUNT = 4


def config(name: str, a: float, weights: tuple[float, float], prompt: str = "text@caption", **others) -> dict:
    """Config of a run that unites a class and a text."""
    model = {"type": "TrainRun", "name": "face-model"}
    experts = [
        {"run": model, "conditions": ["label"], "weight": weights[0], "reliability": 1 - a, "null": []},
        {"run": model, "conditions": [prompt], "weight": weights[1], "reliability": a, "null": []},
    ]
    return {"type": "SampleRun", "name": name, "seed": 0, "method": {"type": "Unite", "experts": experts}, **others}


def color(line: int, column: int) -> tuple[int, int, int]:
    """Color of the picture of a row and a test image."""
    return 30 * line + 10, 40 * column + 5, 200


def sweep(make_table, *, side: int = 16, points=POINTS, pictures=None) -> Path:
    """Write the table and return its folder.

    Args:
        make_table: the fixture.
        side: height and width of a picture.
        points: run -> reliability of the text, weight of both.
        pictures: uint8 [H, W, 3] of a line; None is one color for each picture.
    """

    def change(stored):
        runs = [*points, "inade-1", "ours-0"]
        stored["rows"] = [
            {"group": "", "label": f"row {i}", "published": None, "why": None, "ceiling": False,
             "runs": [{"seed": 0, "folder": f"../../{name}", "name": name}]}
            for i, name in enumerate(runs)
        ]  # fmt: skip
        stored["claims"] = []
        strips = [{"label": "condition: hair", "row": "", "file": "strip-hair.png"}]
        strips += [{"label": f"row {i}", "row": f"row {i}", "file": f"strip-{i}.png"} for i in range(len(runs))]
        texts = [f"words {k}" for k in range(COUNT)]
        gallery = {"title": "Samples", "caption": "", "file": "gallery-main.png", "count": COUNT, "captions": texts}
        stored["galleries"] = [{**gallery, "strips": strips}]

    folder = make_table("mini", change)
    configs = {name: config(name, a, (w, w)) for name, (a, w) in points.items()}
    configs["inade-1"] = config("inade-1", 0.0, (5, 5), prompt="text@other_caption")
    configs["ours-0"] = config("ours-0", 0.5, (8, 2))
    configs["oasis"]["decoder"] = None  # a setting that earlier code did not have
    for name, content in configs.items():
        (folder.parents[1] / name / "config.json").write_text(json.dumps(content))
    for line, name in enumerate(["hair", *map(str, range(len(configs)))]):
        cells = [np.full((side, side, 3), color(line, k), np.uint8) for k in range(COUNT)]
        wide = np.concatenate(cells, axis=1) if pictures is None else pictures
        Image.fromarray(wide).save(folder / f"strip-{name}.png")
    return folder
