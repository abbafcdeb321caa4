"""Two rows of real but tiny runs; the training of the second diverges, so its samples are never made."""

from dataclasses import replace

import small_runs
import torch

from experiments.engine.cli import main
from experiments.spec import Row, Table


def table(profile, seed) -> Table:
    """The rows."""
    experts = [
        replace(small_runs.expert(steps=20, lr=lr), name=f"{name}-expert")
        for name, lr in (("first", 1e-3), ("second", 1e60))
    ]
    samples = [replace(small_runs.samples(e, num_images=8, num_steps=2), name=f"{e.name}-samples") for e in experts]
    found = small_runs.table_of(samples[0], ("SSIM",))
    return replace(found, name="torn_table", rows=tuple(Row(label=run.name, sample=run) for run in samples))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(table)
