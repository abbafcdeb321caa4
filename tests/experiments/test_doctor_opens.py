"""The doctor opens what a run will open: images and label files, or the list of those that were read when they were packed."""

from pathlib import Path

import numpy as np
import pytest
import small_runs
from PIL import Image

from datamodules.catalogue import data_set
from datamodules.config import DataConfig
from datamodules.storage import sources
from experiments.core.workspace import Workspace, prepare_data
from experiments.engine.findings import data_findings
from experiments.recipes.unite_and_conquer import hair_expert
from experiments.runs import SampleRun
from lightning_mmdiff.methods.single import RealImages


def html(path: Path) -> None:
    path.write_text("<html>Quota exceeded</html>")


def gray(value: int, side: int = 32):
    return lambda path: Image.fromarray(np.full((side, side), value, np.uint8)).save(path)


@pytest.mark.parametrize(
    ("dataset", "file", "damage", "message"),
    [
        ("celebamask_hq", "CelebA-HQ-img/7.jpg", html, "CelebA-HQ-img/7.jpg: cannot be read as an image"),
        ("celebamask_hq", "CelebAMask-HQ-mask-anno/0/00007_skin.png", html, "00007_skin.png: cannot be read"),
        ("celebamask_hq", "CelebAMask-HQ-mask-anno/0/00007_skin.png", gray(255), "covers the whole image"),
        ("ffhq", "label_maps/00003.png", gray(19), "holds class 19, expected 0 to 18"),
        ("ffhq", "label_maps/00003.png", gray(0, 16), "label_maps/00003.png: 16 pixels wide, but the first"),
        ("cityscapes", "gtFine/train/minitown/minitown_000003_000019_gtFine_labelIds.png", gray(200), "label ids 200"),
        ("night2day", "train/7.jpg", gray(0), "is 32x32 pixels, expected two squares"),
        ("imagenet", "train/n90000001/n90000001_11.JPEG", html, "n90000001_11.JPEG: cannot be read as an image"),
    ],
)  # fmt: skip
def test_any_image_or_label_file_of_a_small_set_is_opened(dataset, file, damage, message, tmp_path) -> None:
    """Fault B10: eight images were opened, and no label file."""
    entry = data_set(dataset)
    assert entry.render is not None
    entry.render(tmp_path / entry.folder, count=12, image_size=32)
    data = DataConfig(dataset=dataset, image_size=32)
    runs = [SampleRun(name="real", data=data, method=RealImages(), num_images=2)]
    place = Workspace.make("mini", tmp_path / "runs", tmp_path)
    [good] = data_findings(place, [], runs)
    assert good.state == "note"
    assert ", all opened, packed at 32 px when first used" in good.found
    damage(tmp_path / entry.folder / file)
    [bad] = data_findings(place, [], runs)
    assert bad.state == "missing"
    assert message in bad.found


def test_what_was_packed_and_has_not_changed_was_read(tmp_path, monkeypatch) -> None:
    data = small_runs.write_data(tmp_path / "data", image_size=32)
    monkeypatch.setattr(sources, "SETTLED", 0)
    place = Workspace.make("mini", tmp_path / "runs", data)
    runs = [hair_expert("mini", 0)]
    prepare_data(place, runs)
    [found] = data_findings(place, [], runs)
    assert "all read and packed at 32 px, none changed since" in found.found
    folder = place.open(runs[0].data[0]).folder
    (folder / "index.json").write_text("{}")
    [found] = data_findings(place, [], runs)
    assert "all opened, packed at 32 px when first used" in found.found
