"""The table of precisions: the same images but for rounding."""

import json

import numpy as np
import pytest

from benchmarks import precision
from experiments.engine.cli import TableFlags, main
from experiments.spec import plan

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_rows_differ_in_precision_alone() -> None:
    exact, half = [row.sample for row in precision.table("paper", 0).rows]
    assert (exact.precision, half.precision) == ("32-true", "bf16-mixed")
    assert exact.method == half.method
    assert [run.name for run in plan([precision.table("paper", 0)])][-2:] == [exact.name, half.name]


@pytest.mark.slow
def test_half_precision_moves_images_by_its_rounding(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(precision.table, TableFlags(profile="smoke", out=tmp_path / "runs"))
    exact, half = [
        np.concatenate(
            [np.load(f) for f in sorted((tmp_path / "runs/smoke" / row.sample.name / "samples").glob("*.npy"))]
        )
        for row in precision.table("smoke", 0).rows
    ]
    difference = np.abs(exact.astype(float) - half)
    assert 0 < difference.mean() < 4, difference.mean()
    rows = json.loads((tmp_path / "runs/smoke/tables/precision/metrics.json").read_text())["rows"]
    assert [row["state"] for row in rows] == ["measured", "measured"]
