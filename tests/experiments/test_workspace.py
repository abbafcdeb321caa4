"""Rendering and opening the data sets of runs."""

from dataclasses import replace

import pytest
import small_runs

from datamodules.config import DataConfig
from datamodules.regimes import CombinedDataModule
from experiments.core.workspace import Workspace, prepare_data, training_data
from lightning_mmdiff.errors import UserError

PHOTOS = DataConfig(dataset="night2day", image_size=16, conditions=("photo",))
ARRAYS = DataConfig(dataset="imagenet_downsampled", image_size=16)


def rendered(folder) -> Workspace:
    return Workspace(profile="smoke", runs=folder / "runs", data=folder / "data", rendered=True, cache=None)


def test_a_data_set_is_rendered_and_packed_once(tmp_path) -> None:
    place, run = rendered(tmp_path), small_runs.expert(steps=1, data=(PHOTOS,))
    prepare_data(place, [run])
    folder = tmp_path / "data" / "night2day"
    assert len(list((folder / "train").iterdir())) == 48
    packed = folder / ".packed" / "16px" / "index.json"
    written = packed.stat().st_mtime_ns
    prepare_data(place, [run])
    assert packed.stat().st_mtime_ns == written


def test_what_cannot_be_rendered_is_asked_for(tmp_path) -> None:
    run = small_runs.expert(steps=1, data=(ARRAYS,))
    with pytest.raises(UserError, match="imagenet_downsampled has no rendered stand-in: .* by --data"):
        prepare_data(rendered(tmp_path), [run])


def test_one_data_set_is_itself_and_several_take_turns(tmp_path) -> None:
    run = small_runs.expert(steps=1)
    assert training_data(run, tmp_path).seed == run.seed
    several = training_data(replace(run, data=(small_runs.HAIR, small_runs.SKIN)), tmp_path)
    assert isinstance(several, CombinedDataModule)
    assert [module.root.name for module in several.data] == ["CelebAMask-HQ", "ffhq"]
    assert {module.batch_size for module in several.data} == {run.batch_size}
    mixed = training_data(replace(run, data=(small_runs.HAIR,) * 2, regime="mixed"), tmp_path)
    assert {module.batch_size for module in mixed.data} == {run.batch_size // 2}
