import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.prepare import prepare
from lightning_mmdiff.errors import UserError

REPOSITORY = Path(__file__).parents[2]


def test_faces_are_rendered_packed_and_summed_up(tmp_path, capsys):
    prepare("celebamask_hq", root=tmp_path / "CelebAMask-HQ", image_size=16, render=20, captions="celeba-dialog")
    assert "18 / 2 (paper split)" in capsys.readouterr().out
    prepare("ffhq", root=tmp_path / "ffhq", image_size=16, render=20)
    for name in ("CelebAMask-HQ", "ffhq"):
        assert (tmp_path / name / ".packed" / "16px" / "images.npy").is_file()
    prepare("celebamask_hq", root=tmp_path / "CelebAMask-HQ", image_size=16)
    prepare("ffhq", root=tmp_path / "ffhq", image_size=16, split="official")
    assert "(official split)" in capsys.readouterr().out


def test_what_a_data_set_does_not_take_or_cannot_render_is_refused(tmp_path):
    with pytest.raises(UserError, match="cityscapes takes no split"):
        prepare("cityscapes", root=tmp_path, image_size=16, split="official")
    with pytest.raises(UserError, match="imagenet_downsampled has no rendered stand-in: leave --render out"):
        prepare("imagenet_downsampled", root=tmp_path / "arrays", image_size=16, render=20)


def test_an_error_is_a_sentence_not_a_traceback(tmp_path):
    command = [sys.executable, "-m", "datamodules.prepare", "ffhq", "--root", str(tmp_path), "--image-size", "16"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no images found. Nothing is there. Expected this layout" in result.stderr
    assert "Traceback" not in result.stderr


def test_rendered_objects_streets_and_the_digits(tmp_path, capsys):
    for data_set, shown in (
        ("imagenet", "40 / 10, all readable"),
        ("cityscapes", "label_maps [50, 16, 16]"),
        ("night2day", "nights [50, 3, 16, 16]"),
        ("digits", "1,500 / 297"),
    ):
        prepare(data_set, root=tmp_path / data_set, image_size=16, render=40, cache=tmp_path / "cache")
        assert shown in capsys.readouterr().out
        assert not (tmp_path / data_set / ".packed").exists()
    prepare("imagenet", root=tmp_path / "imagenet", image_size=16)
    assert "ball, box, cone" in capsys.readouterr().out
