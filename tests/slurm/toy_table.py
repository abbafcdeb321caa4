"""A table whose runs take no time: two seeds of an expert and of its samples, an evaluator, a ceiling.

As a script it is the command line of a table as far as jobs see it: files in the run's folder, exit code, error line.
``fail-<run>`` in the working folder makes a run fail, ``wait-<run>`` makes it wait until that file is gone.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def table(profile, seed):
    """One measured row, one real one."""
    from dataclasses import replace

    import small_runs

    from lightning_mmdiff.methods.single import RealImages

    expert = replace(small_runs.expert(steps=2, seed=seed), name=f"expert-seed{seed}" if seed else "expert")
    samples = replace(small_runs.samples(expert), name=f"samples-seed{seed}" if seed else "samples")
    real = replace(small_runs.samples(expert), name="real", method=RealImages(), sampler=None, seed=0)
    evaluator = replace(small_runs.expert(steps=2), name="evaluator")
    found = small_runs.table_of(samples, ("SSIM",))
    row = replace(found.rows[0], label="real", sample=real)
    return replace(found, name="toy_table", rows=(*found.rows, row), evaluators=(evaluator,))


def main(*protocols: str) -> None:
    """Do one run; samples are measured by ``protocols``, beside what is measured already."""
    parser = argparse.ArgumentParser()
    for flag in ("profile", "out", "only", "part", "seeds", "data"):
        parser.add_argument(f"--{flag}")
    flags = parser.parse_args()
    name = flags.only or flags.part
    with Path("done.txt").open("a") as file:
        file.write(f"{name} {os.environ.get('SLURM_ARRAY_TASK_ID', '-')} {os.environ['SLURM_NTASKS']}\n")
    while Path(f"wait-{name}").exists():
        time.sleep(0.05)
    if Path(f"fail-{name}").exists():
        sys.exit("error: the disk of this node is full")
    if flags.only:
        folder = Path(flags.out) / flags.profile / flags.only
        if flags.only.startswith(("expert", "evaluator")):
            (folder / "weights.safetensors").touch()
        else:
            measure(folder, protocols)


def measure(folder: Path, protocols: Sequence[str]) -> None:
    """Write a value of each protocol, beside what is measured already."""
    import numpy as np

    from lightning_mmdiff.runtime.run_folder import RULES

    path = folder / "metrics.json"
    names = [*(json.loads(path.read_text()) if path.exists() else {}), *protocols]
    np.savez(folder / "replicates.npz", **{name: np.zeros(2) for name in names})
    path.write_text(json.dumps({name: {"value": 0.5, "rules": RULES} for name in names}))


if __name__ == "__main__":
    main("SSIM")
