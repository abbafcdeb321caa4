"""The code of a table's notebook, which needs pandas, matplotlib and the files beside it alone."""

SETUP = """import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, display

report = json.loads(Path("metrics.json").read_text(encoding="utf-8"))  # rows, claims, pictures
numbers = pd.read_csv("table.csv")  # one line for each cell of the table
gray = "#808891"  # readable on white and on black
plt.rcParams.update({"figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "font.size": 9})
plt.rcParams.update({f"{part}.color": gray for part in ("text", "xtick", "ytick")})
plt.rcParams.update({"axes.labelcolor": gray, "axes.edgecolor": gray, "axes.titlecolor": gray, "legend.labelcolor": gray})

def shown(figure):
    # Transparent, on a light and on a dark page alike; Jupyter itself would lay black behind gray text.
    stream = io.BytesIO()
    figure.savefig(stream, dpi=100, bbox_inches="tight")
    plt.close(figure)
    display(Image(stream.getvalue()))"""

INTERVALS = """measured = numbers.dropna(subset=["value"])
columns = [name for name in measured["protocol"].unique() if measured.loc[measured["protocol"] == name, "low"].notna().any()]
rows = measured[["group", "row"]].fillna("").drop_duplicates().apply(tuple, axis=1).tolist()[::-1]
if columns:
    wide, lines = min(4, len(columns)), -(-len(columns) // 4)
    size = (2.6 + 2.2 * wide, lines * (0.8 + 0.24 * len(rows)))
    figure, axes = plt.subplots(lines, wide, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axis in axes.flat[len(columns):]:
        axis.set_axis_off()
    for axis, protocol in zip(axes.flat, columns):
        for _, cell in measured[measured["protocol"] == protocol].fillna({"group": ""}).iterrows():
            y = rows.index((cell["group"], cell["row"]))
            axis.plot([cell["low"], cell["high"]], [y, y], color="#1f8fbf")
            axis.plot(cell["value"], y, "s" if cell["ceiling"] else "o", color="#d0703a", markersize=7 if cell["best"] else 4)
        axis.set_title(f"{protocol}\\n({cell['better']} is better)", fontsize=8)
        axis.grid(axis="x", color=gray, alpha=0.3)
        axis.spines[["top", "right", "left"]].set_visible(False)
    labels = [row for _, row in rows]  # with its group, where two groups have a row of this name
    axes[0, 0].set_yticks(range(len(rows)), [f"{row} ({group})" if labels.count(row) > 1 else row for group, row in rows])
    shown(figure)"""

LINES = """def value_of(name):
    # The cells of the row of this name, or of this "group/name".
    found = numbers[numbers["row"] == name]
    return found if len(found) else numbers[numbers["group"].fillna("") + "/" + numbers["row"] == name]

for drawn in report["figures"]:
    panels = [drawn["y"]] if drawn["y"] else [metric["protocol"] for metric in report["metrics"]]
    figure, axes = plt.subplots(1, len(panels), figsize=(3.4 * len(panels), 3), squeeze=False, layout="constrained")
    for axis, panel in zip(axes[0], panels):
        for line in drawn["lines"]:
            if drawn["y"]:
                axis.plot(*zip(*line["points"]), label=line["label"])
                continue
            cells = [value_of(name).query("protocol == @panel").iloc[0] for _, name in line["points"]]
            x = [x for x, _ in line["points"]]
            (curve,) = axis.plot(x, [cell["value"] for cell in cells], "o-", label=line["label"])
            axis.fill_between(x, [c["low"] for c in cells], [c["high"] for c in cells], color=curve.get_color(), alpha=0.2)
        axis.set(xlabel=drawn["x"], title=panel)
    axes[0, 0].legend(fontsize=8, framealpha=0)
    figure.suptitle(drawn["title"])
    shown(figure)"""

PICTURES = """def show(strips, captions=(), title=""):
    # Strips of pictures below each other, their names to the left.
    pictures = [plt.imread(strip["file"]) for strip in strips]
    count = max(1, round(pictures[0].shape[1] / pictures[0].shape[0]))
    figure, axes = plt.subplots(len(pictures), 1, figsize=(1.6 + 0.8 * count, 0.84 * len(pictures) + 0.3), squeeze=False)
    for axis, strip, picture in zip(axes[:, 0], strips, pictures):
        axis.imshow(picture, interpolation="nearest", aspect="auto")
        axis.set_ylabel(strip["label"], rotation=0, ha="right", va="center", fontsize=8)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    if captions:
        places = [(i + 0.5) * pictures[-1].shape[1] / len(captions) for i in range(len(captions))]
        wrapped = ["\\n".join(pd.Series(text).str.wrap(16)[0].splitlines()) for text in captions]
        axes[-1, 0].set_xticks(places, wrapped, fontsize=6)
    axes[0, 0].set_title(title, fontsize=9)
    figure.subplots_adjust(left=0.22, right=1, bottom=0, top=1, hspace=0.04)
    shown(figure)

def sheet(number):
    gallery = report["galleries"][number]
    show(gallery["strips"], gallery["captions"], gallery["title"])"""

ONE_IMAGE = """i = 0  # number of the test image: change it and run the cell again
strips = {strip["label"]: strip for gallery in report["galleries"] if gallery["count"] for strip in gallery["strips"]}
if strips:
    per_line = 8
    lines = -(-len(strips) // per_line)
    figure, axes = plt.subplots(lines, per_line, figsize=(12, 2.2 * lines), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, strip in zip(axes.flat, strips.values()):
        picture = plt.imread(strip["file"])
        side = picture.shape[0]
        axis.imshow(picture[:, i * side : (i + 1) * side], interpolation="nearest")
        axis.set_title(pd.Series(strip["label"]).str.wrap(20)[0], fontsize=7)
    shown(figure)"""

RECOMPUTE = """row, protocol = 0, report["metrics"][0]["protocol"]  # number of the row, and the column

def quantile(df):
    # The 97.5 % quantile of Student's t with df degrees of freedom; with t = sqrt(df) tan(a) its density is cos(a)^(df - 1).
    angle = (np.arange(400_000) + 0.5) / 400_000 * np.pi / 2
    mass = np.cumsum(np.cos(angle) ** (df - 1))
    return np.sqrt(df) * np.tan(np.interp(0.95, mass / mass[-1], angle))

stored = np.load("replicates.npz")
cells = report["rows"][row]["cells"].values()
cell = next(cell for cell in cells if cell["protocol"] == protocol)
over_images = []
for seed, value in zip(cell["seeds"], cell["seed_values"]):
    key = f"{row}/{seed}/{protocol}"
    if key in stored and cell["n"]:
        spread = stored[key].std(ddof=1) * np.sqrt(cell["n"] / (cell["n"] - 1))  # of the mean, over resampled images
        over_images.append(quantile(cell["n"] - 1) * spread)
mean, half = np.mean(cell["seed_values"]), np.mean(over_images) if over_images else 0.0
if len(cell["seeds"]) > 1:  # over trainings, never narrower than over images
    trainings = np.std(cell["seed_values"], ddof=1) / np.sqrt(len(cell["seeds"]))
    half = max(half, quantile(len(cell["seeds"]) - 1) * trainings)
print(report["rows"][row]["label"], protocol)
print(f"recomputed {mean:.4g} [{mean - half:.4g}, {mean + half:.4g}], stored {cell['value']:.4g} {cell['interval']}")"""

AGAIN = """a = 0.25  # reliability of the first expert; the others share the rest, and their sum is 1
count = 4  # test images

# Needs the repository that made the runs, its data, and this notebook where it was written.
import sys, warnings
from dataclasses import replace
from importlib import import_module

warnings.filterwarnings("ignore", message="IProgress not found")
sys.path += [str(place) for place in Path.cwd().parents if (place / "experiments" / "spec.py").is_file()]
from experiments.core import build
from experiments.core.workspace import Workspace
runs = Path("../..").resolve()
rows = import_module("experiments.{name}").table("{profile}", 0).rows
sample = next(row.sample for row in rows if row.sample and row.sample.name == "{run}")
first, *others = sample.method.experts
rest = (replace(expert, reliability=(1 - a) / len(others)) for expert in others)
again = replace(sample, method=replace(sample.method, experts=(replace(first, reliability=a), *rest)))
root = next((p / "data" / "{profile}" for p in [Path.cwd(), *Path.cwd().parents] if (p / "data" / "{profile}").is_dir()), runs)
workspace = Workspace(profile="{profile}", runs=runs, data=root, rendered=True, cache=None)
data = workspace.open(sample.data)
data.setup()
images = build.method(again, runs).predict_step(data.test.batch(range(count)))
figure = plt.figure(figsize=(1.6 * count, 1.8))
plt.imshow(np.concatenate(list(images.permute(0, 2, 3, 1).numpy()), axis=1), interpolation="nearest")
plt.axis("off")
plt.title(f"a = {{a}}")
shown(figure)"""
