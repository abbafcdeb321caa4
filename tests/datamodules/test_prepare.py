import subprocess
import sys
from pathlib import Path

from datamodules.prepare import prepare

REPOSITORY = Path(__file__).parents[2]


def test_mini_faces_are_rendered_packed_and_summed_up(tmp_path, capsys):
    prepare("mini_faces", root=tmp_path / "mini", image_size=16, count=20, captions="celeba-dialog")
    shown = capsys.readouterr().out
    assert "18 / 2 (paper split)" in shown
    assert (tmp_path / "mini" / "CelebAMask-HQ" / ".packed" / "16px" / "images.npy").is_file()
    assert (tmp_path / "mini" / "ffhq" / ".packed" / "16px" / "images.npy").is_file()
    prepare("celebamask_hq", root=tmp_path / "mini" / "CelebAMask-HQ", image_size=16)
    prepare("ffhq", root=tmp_path / "mini" / "ffhq", image_size=16, split="official")


def test_an_error_is_a_sentence_not_a_traceback(tmp_path):
    command = [sys.executable, "-m", "datamodules.prepare", "ffhq", "--root", str(tmp_path), "--image-size", "16"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no images found. Expected this layout" in result.stderr
    assert "Traceback" not in result.stderr


def test_rendered_objects_streets_and_the_digits(tmp_path, capsys):
    for data_set, shown in (
        ("mini_objects", "40 / 10, all readable"),
        ("mini_streets", "label_maps [50, 16, 16]"),
        ("mini_night2day", "nights [50, 3, 16, 16]"),
        ("digits", "1,500 / 297"),
    ):
        prepare(data_set, root=tmp_path / data_set, image_size=16, count=40, cache=tmp_path / "cache")
        assert shown in capsys.readouterr().out
        assert not (tmp_path / data_set / ".packed").exists()
    prepare("imagenet", root=tmp_path / "mini_objects", image_size=16)
    assert "ball, box, cone" in capsys.readouterr().out
