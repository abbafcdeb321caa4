"""How many calls of our own code lie between a table's command and its equation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS = ("hair-expert", "face-expert", "ours-celeba")
SCRIPT = """
import json, runpy, sys
from lightning_mmdiff.methods import unite_and_conquer

plain, seen = unite_and_conquer.unite, []

def unite(*arguments):
    if not seen:
        frame = sys._getframe(1)
        while frame is not None:
            seen.append((frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back
    return plain(*arguments)

unite_and_conquer.unite = unite
runpy.run_module("experiments.table1", run_name="__main__", alter_sys=True)
print(json.dumps(seen[::-1]))
"""
PACKAGES = tuple(str(ROOT / name) for name in ("lightning_mmdiff", "datamodules", "experiments", "reports"))


@pytest.mark.slow
def test_from_table1_to_the_loop_in_three_calls_and_to_unite_in_five(tmp_path) -> None:
    words = ["-c", SCRIPT, "--profile", "smoke", "--only", *RUNS]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    frames = json.loads(done.stdout.splitlines()[-1])
    own = [name for file, name in frames if file.startswith(PACKAGES)] + ["unite"]
    assert own == [
        "<module>",
        "main",
        "sample",
        "SamplingModule.predict_step",
        "UniteAndConquer.predict_noise",
        "unite",
    ]
    loop, equation = own.index("SamplingModule.predict_step"), own.index("unite")
    assert loop <= 4
    assert equation <= 5
    assert f"{loop} calls to the denoising loop, {equation} to the equation" in (ROOT / "CONTRIBUTING.md").read_text()
