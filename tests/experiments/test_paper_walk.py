"""Every table at paper, made small by ``reduced``: what a cluster would train, sample and score, done here in two steps."""

import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import stand_in_files
import stand_in_photographs
import stand_in_weights
from reduced import Reduction

from datamodules.catalogue import DataSet
from experiments import INDEX
from experiments.core.costs import data_of
from experiments.engine.cli import TableFlags, main
from experiments.figures import reporting
from experiments.protocols import catalogue
from experiments.protocols.protocol import Protocol
from experiments.runs import Run
from experiments.spec import Table, plan
from lightning_mmdiff.metrics import frechet_infinity
from reports.write import write_all

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

NAMES = [entry.name for entry in INDEX]
COUNT = 64
"""Number of rendered training images of each data set."""
FEW = 8
"""Number of samples of each row."""
UNPUBLISHED = "Attributes-FaceClassifier"
"""The one protocol that nobody can measure."""
reduction = Reduction()


def small_table(name: str) -> Table:
    return reduction(importlib.import_module(f"experiments.{name}").table("paper", 0))


def runs() -> list[Run]:
    return plan([small_table(name) for name in NAMES])


def render(root: Path, runs: list[Run]) -> Path:
    """Write a stand-in of every data set that the runs read, at the largest size at which they read it."""
    sizes: dict[DataSet, int] = {}
    for config in (config for run in runs for config in data_of(run)):
        sizes[config.data_set] = max(sizes.get(config.data_set, 0), config.image_size)
    for entry, size in sizes.items():
        assert entry.render is not None
        entry.render(root / entry.folder, count=COUNT, image_size=size)
    return root


def of_few_images(protocol: Protocol) -> Protocol:
    """Return the protocol as one that says something about a few images; those of exactly 50 stay as they are."""
    return replace(protocol, least_images=FEW) if protocol.name.endswith("-Infinity") else protocol


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("walk")
    (folder / "weights").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        stand_in_photographs.put_in_place(patch)
        render(folder / "data", runs())
        patch.setattr(catalogue, "PROTOCOLS", tuple(of_few_images(p) for p in catalogue.PROTOCOLS))
        patch.setattr(frechet_infinity, "LEAST_IMAGES", FEW)
        stand_in_weights.put_in_place(folder / "weights", patch)
        stand_in_files.publish(folder / "weights", ("glide", "glide_upsampler", "adm_64"))  # of Table 3
        patch.setattr(reporting, "write_all", partial(write_all, with_notebook=False))  # seconds a table
        yield folder


@pytest.mark.parametrize("name", NAMES)
def test_every_table_at_paper_trains_samples_scores_and_reports(name: str, folder: Path) -> None:
    """Through its real command; every row that has samples gets every number of the table."""
    small = small_table(name)
    main(lambda profile, seed: small, TableFlags(profile="paper", data=folder / "data", out=folder / "runs"))
    rows = json.loads((folder / "runs" / "paper" / "tables" / name / "metrics.json").read_text())["rows"]
    for row, described in zip(rows, small.rows, strict=True):
        if described.sample is not None:
            assert row["state"] == "measured", row["reason"]
            empty = {m.protocol for m in small.metrics if row["cells"][m.column]["value"] is None}
            unmeasurable = {m.protocol for m in small.metrics if catalogue.by_name(m.protocol).least_images > FEW}
            assert empty <= {UNPUBLISHED, *unmeasurable}, row["label"]
