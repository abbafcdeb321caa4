"""Data that cannot serve a table are refused before anything is packed or trained."""

from pathlib import Path

import pytest
import small_runs

from datamodules.mini.image_layouts import write_imagenet
from datamodules.mini.layouts import write_celebamask_hq
from experiments import table1, table4, table6
from experiments.engine.cli import TableFlags, session
from experiments.runs import TrainRun
from experiments.spec import TableFunction, plan
from lightning_mmdiff.errors import UserError


def refused(table: TableFunction, data: Path, out: Path, data_set: str, message: str) -> None:
    flags = TableFlags(profile="smoke", data=data, out=out)
    with pytest.raises(UserError, match=message), session(table, flags):
        pass
    assert not list(out.rglob("weights.safetensors"))
    assert not list(out.glob(f"packed/{data_set}-*/*/index.json"))


def test_too_few_faces_for_a_metric(tmp_path) -> None:
    says = "1 of its 4 images are to test, but FD-EffNetLite0 needs 2 or more"
    write_celebamask_hq(tmp_path / "data" / "CelebAMask-HQ", count=4, image_size=16)
    small_runs.write_data(tmp_path / "other")
    (tmp_path / "other" / "ffhq").rename(tmp_path / "data" / "ffhq")
    refused(table4.table, tmp_path / "data", tmp_path / "out", "CelebAMask-HQ", says)
    refused(table1.table, tmp_path / "data", tmp_path / "out", "CelebAMask-HQ", "needs 2 or more")


def test_more_classes_than_the_network_has(tmp_path) -> None:
    root = tmp_path / "data" / "imagenet"
    write_imagenet(root, count=20, image_size=16)
    for part in ("train", "val"):
        first = min((root / part).iterdir())
        for number in range(3):
            (root / part / f"n9999999{number}").mkdir()
            for image in first.iterdir():
                name = image.name.replace(first.name, f"n9999999{number}")
                (root / part / f"n9999999{number}" / name).write_bytes(image.read_bytes())
    (root / "captions.json").unlink()
    (root / "LOC_synset_mapping.txt").unlink()
    refused(
        table6.table,
        tmp_path / "data",
        tmp_path / "out",
        "imagenet",
        "has 13 classes, but .* is a network of 10; keep as many class",
    )


def test_rendered_data_fit_every_table() -> None:
    """``num_classes`` of every kind of model that is given labels."""
    runs = [run for run in plan([table6.table("smoke", 0)]) if isinstance(run, TrainRun)]
    labeled = [run for run in runs if "label" in run.data[0].conditions]
    assert {run.model.num_classes for run in labeled} == {10}
    assert len({type(run.model) for run in labeled}) >= 3
    assert small_runs.expert(steps=1).model.num_classes is None
