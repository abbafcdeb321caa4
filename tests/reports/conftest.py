"""A folder of runs as experiments leaves it: measured, half-done, failed and never started rows, with known numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from half_runs import shards, training
from PIL import Image

HOSTILE = "<script>alert(1)</script> | a_b & 50% $x$ [red]*bold*"
REPLICATES = 400


def write_run(folder: Path, values: dict[str, float], *, spread: float, shared: np.ndarray, n: int = 500) -> None:
    """A scored run. Its replicates are value, shared noise and a little of its own, as common resampling makes them."""
    folder.mkdir(parents=True)
    own = np.random.default_rng(len(folder.name)).normal(size=REPLICATES)
    replicates = {p: v * (1 + spread * (shared + 0.05 * own)) for p, v in values.items()}
    metrics = {
        p: {"value": v, "n": n, "interval": [v * (1 - 2 * spread), v * (1 + 2 * spread)], "better": "lower"}
        for p, v in values.items()
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    np.savez(folder / "replicates.npz", **replicates)
    model = {"type": "TrainRun", "name": "face-model", "trainer": {"max_steps": 300}}
    config = {"type": "SampleRun", "name": folder.name, "experts": [{"run": model}]}
    (folder / "config.json").write_text(json.dumps(config))
    stage = {"seconds": 95.2, "peak_memory_gib": 1.25, "commit": "0123456789abcdef"}
    (folder / "provenance.json").write_text(json.dumps({"stage": {"sample": stage, "score": stage}}))
    (folder / "done").touch()


def row(label: str, names: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    runs = [{"seed": i, "folder": f"../../{name}", "name": name} for i, name in enumerate(names)]
    base = {"group": "", "label": label, "published": None, "why": None, "runs": runs, "ceiling": False}
    return {**base, **fields}


def claim(id: str, metric: str, better: str, worse: str, **fields: Any) -> dict[str, Any]:
    text = f"{better} beats {worse} on {metric}"
    base = {"id": id, "text": text, "metric": metric, "better": better, "worse": worse, "source": "Table 1"}
    base |= {"published": None, "note": None}
    return {**base, **fields}


def stored_table(profile: str) -> dict[str, Any]:
    return {
        "name": "table1",
        "title": "Unite and Conquer, Table 1: CelebA-HQ",
        "paper": "Unite and Conquer (Nair et al., CVPR 2023)",
        "profile": profile,
        "notes": ["32 x 32 pixels instead of 256 x 256.", f"A note with {HOSTILE}"],
        "command": f"python -m experiments.table1 --profile {profile}",
        "metrics": [
            {
                "column": "FID",
                "protocol": "FD-EffNetLite0",
                "better": "lower",
                "description": "Frechet distance of EfficientNet-Lite0 features to those of the test images.",
            },
            {"column": "mIoU", "protocol": "mIoU", "better": "higher", "description": "19 classes, our own parser."},
        ],
        "rows": [
            row("SPADE", ("spade",), group="Fine-tuning", published={"FID": 131.91, "mIoU": 0.653}),
            row("OASIS", ("oasis",), group="Fine-tuning", published={"FID": 96.6, "mIoU": 0.79}),
            row("SPADE", ("spade-c",), group="Combined training", published={"FID": 89.29, "mIoU": 0.741}),
            row("INADE", ("inade-0", "inade-1", "inade-2"), group="Combined training", published={"FID": 54.27}),
            row("TediGAN", group="Others", published={"FID": 87.95, "mIoU": 0.49}, why="needs a StyleGAN2 checkpoint"),
            row("Pix2PixHD", ("pix2pixhd",), group="Others", published={"FID": 81.5, "mIoU": 0.82}),
            row("Started", ("started",), group="Others"),
            row(HOSTILE, ("never",), group="Others", why=None),
            row("Ours", ("ours",), group="Others", published={"FID": 26.09, "mIoU": 0.911}),
            row("Ours, 3 seeds", ("ours-0", "ours-1", "ours-2"), group="Others"),
            row("Real images", ("real",), group="Ceiling", ceiling=True),
        ],
        "claims": [
            claim("UC1", "FID", "Ours", "Fine-tuning/SPADE", published=[26.09, 131.91]),
            claim("UC2", "mIoU", "Fine-tuning/SPADE", "Ours", note="reversed on purpose"),
            claim("UC3", "FID", "Combined training/SPADE", "Fine-tuning/SPADE", source=""),
            claim("UC4", "FID", "Ours, 3 seeds", "INADE"),
            claim("UC5", "FID", "Ours", "TediGAN"),
            claim("UC6", "FID", "SPADE", "Ours"),
            claim("UC7", "FID", "INADE", "Ours, 3 seeds"),
        ],
        "galleries": [
            {"title": f"Gallery {HOSTILE}", "caption": "Rows: conditions, SPADE, ours.", "file": "gallery-main.png"},
            {"title": "Lost", "caption": "Never written.", "file": "gallery-lost.png"},
        ],
        "provenance": {
            "commit": "0123456789abcdef0123",
            "dirty": True,
            "versions": {"python": "3.11.2", "torch": "2.9.1"},
            "hardware": "2 CPU cores",
            "date": "2026-11-21",
        },
    }


@pytest.fixture
def hostile() -> str:
    """Label of a row, part of a note and of a gallery's title."""
    return HOSTILE


@pytest.fixture
def make_table(tmp_path: Path) -> Callable[..., Path]:
    """Writes runs/PROFILE and returns the folder of table1."""

    def make(profile: str = "mini", change: Callable[[dict[str, Any]], None] = lambda stored: None) -> Path:
        root = tmp_path / "runs" / profile
        shared = np.random.default_rng(0).normal(size=REPLICATES)
        fd, iou = "FD-EffNetLite0", "mIoU"
        for name, a, b in (
            *(("spade", 60.0, 0.55), ("oasis", 58.0, 0.60), ("spade-c", 59.98, 0.61), ("ours", 40.0, 0.81)),
            *(("inade-0", 50.0, 0.7), ("inade-1", 52.0, 0.71), ("inade-2", 51.0, 0.72), ("real", 8.0, 0.95)),
            *(("ours-0", 39.0, 0.80), ("ours-1", 40.0, 0.82), ("ours-2", 41.0, 0.81)),
        ):
            write_run(root / name, {fd: a, iou: b}, spread=0.03, shared=shared)
        (root / "face-model").mkdir()
        train = {"seconds": 600, "processor_seconds": 1100, "peak_memory_gib": 2, "commit": "0123456789abcdef"}
        (root / "face-model" / "provenance.json").write_text(json.dumps({"stage": {"train": train}}))
        config = {"type": "TrainRun", "trainer": {"max_steps": 300}, "batch_size": 32}
        (root / "face-model" / "config.json").write_text(json.dumps(config))
        (root / "pix2pixhd").mkdir()
        (root / "pix2pixhd" / "failed.txt").write_text("Traceback:\nNaN loss at step 12 <b>")
        (root / "started").mkdir()
        (root / "started" / "shard-0.npz").touch()
        folder = root / "tables" / "table1"
        folder.mkdir(parents=True)
        pixels = np.random.default_rng(0).integers(0, 256, (300, 900, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "gallery-main.png")
        stored = stored_table(profile)
        change(stored)
        (folder / "table.json").write_text(json.dumps(stored))
        return folder

    return make


@pytest.fixture
def profile(make_table):
    """runs/mini with a table whose runs are finished, failed, under way and never started."""
    folder = make_table().parents[1]
    training(folder / "face-model", steps=300, seconds=600.0)
    shards(folder / "ours", 2)
    return folder
