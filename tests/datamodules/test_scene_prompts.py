"""Prompts of Table 3 at paper: pairs in turn, photographs of their classes alone, in both layouts of ImageNet."""

from pathlib import Path

import pytest
import torch
from stand_in_photographs import EACH, write_photographs

from datamodules.images.scene_pairs import FIGURES, PAIRS
from datamodules.scene_prompts import ScenePrompts
from lightning_mmdiff.errors import MissingFileError


def opened(root: Path) -> ScenePrompts:
    data = ScenePrompts(root=root, image_size=16, batch_size=4, conditions=ScenePrompts.known_conditions)
    data.prepare_data()
    data.setup()
    return data


def test_pairs_come_in_turn_with_photographs_of_their_class(tmp_path: Path) -> None:
    write_photographs(tmp_path, count=0, image_size=20)
    (tmp_path / "val" / "n01440764").mkdir()  # of another class, which nothing asks for
    data = opened(tmp_path)
    assert (len(data.train), len(data.test)) == (len(PAIRS), (EACH - 1) * len(PAIRS))
    batch = data.test.batch([0, 1, 2, 5, 15])
    found = batch["conditions"]
    assert found["label"].tolist() == [84, 292, 277, 277, 345]
    assert found["caption"] == [FIGURES[i][0] for i in (0, 1, 2, 5, 15)]
    assert found["full_caption"][0] == "a garden of cherry blossom trees and a peacock in the photo"
    assert found["object_caption"][1] == "a tiger in the photo"
    assert found["first_class"].tolist() == [0] * 5
    assert (found["other"] != found["label"]).all()
    assert torch.equal(batch["image"][2], batch["image"][3])  # two texts ask for the red fox
    assert not torch.equal(batch["image"][0], data.train.batch([0])["image"][0])  # another turn, another photograph
    assert data.train.batch([0])["conditions"]["label"].tolist() == [84]
    texts = dict(zip(found["scene"].tolist(), found["caption"]))
    assert len(texts) == 5


def test_one_folder_and_a_list_of_classes_hold_the_same(tmp_path: Path) -> None:
    write_photographs(tmp_path / "a", count=0, image_size=20)
    flat = tmp_path / "b" / "val"
    flat.mkdir(parents=True)
    rows = []
    for path in sorted((tmp_path / "a").rglob("*.JPEG")):
        (flat / path.name).write_bytes(path.read_bytes())
        rows.append(f"{path.stem} {path.parent.name}")
    (tmp_path / "b" / "val_labels.txt").write_text("\n".join(rows))
    first, second = opened(tmp_path / "a"), opened(tmp_path / "b")
    for ours, theirs in ((first.train, second.train), (first.test, second.test)):
        indices = list(range(len(ours)))
        assert torch.equal(ours.batch(indices)["image"], theirs.batch(indices)["image"])


def test_missing_photographs_are_named_by_class(tmp_path: Path) -> None:
    write_photographs(tmp_path, count=0, image_size=20)
    for path in (tmp_path / "val" / "n01806143").iterdir():
        path.unlink()
    with pytest.raises(MissingFileError, match="no photographs of n01806143, of the 65 classes"):
        ScenePrompts(root=tmp_path, image_size=16, batch_size=4).check()
