"""Runs that are under way or done, as stages.py leaves them."""

import json

import numpy as np


def training(folder, *, steps=None, total=300, seconds=None, name=None):
    """A training as stages.py leaves it: under way up to ``steps``, or finished after ``seconds``."""
    folder.mkdir(exist_ok=True)
    config = {"type": "TrainRun", "name": name or folder.name, "batch_size": 4, "trainer": {"max_steps": total}}
    (folder / "config.json").write_text(json.dumps({**config, "model": {"type": "DenoiserConfig"}}))
    if steps:
        lines = [f"{step},{1 / step:.6g}" for step in range(10, steps + 1, 10)]
        (folder / "loss.csv").write_text("\n".join(["step,loss", *lines]) + "\n")
    if seconds:
        (folder / "weights.safetensors").touch()
        stage = {"seconds": seconds, "peak_memory_gib": 2, "hardware": "CPU, 2 cores", "commit": "abc", "dirty": False}
        (folder / "provenance.json").write_text(json.dumps({"stage": {"train": stage}}))
    return folder


def shards(folder, count, *, size=4):
    """Samples of a run, 16 pixels wide."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        images = np.random.default_rng(number).integers(0, 256, (size, 3, 16, 16), dtype=np.uint8)
        np.save(folder / "samples" / f"{number:05d}.npy", images)
