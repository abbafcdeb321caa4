import hashlib
import re

import pytest

from lightning_mmdiff import weights
from lightning_mmdiff.weights import __main__ as listing


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty torch hub, an empty Hugging Face cache, no override."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv(weights.ENVIRONMENT_VARIABLE, raising=False)
    return tmp_path


def test_names_and_files_are_unique_and_checksums_are_those_in_the_names():
    for part in ("name", "file"):
        assert len({getattr(weight, part) for weight in weights.WEIGHTS}) == len(weights.WEIGHTS)
    for weight in weights.WEIGHTS:
        if named := re.search(r"-([0-9a-f]{8})\.pth$", weight.file):
            assert weight.sha256.startswith(named[1])
        for sha256 in (weight.sha256, *(member.sha256 for member in weight.members)):
            assert re.fullmatch(r"|[0-9a-f]{8}|[0-9a-f]{64}", sha256)


def test_a_missing_file_is_named_with_its_place_and_what_to_do(places):
    assert weights.find("face_parser") is None
    with pytest.raises(FileNotFoundError) as error:
        weights.require("face_parser")
    place = places / "torch" / "hub" / "checkpoints" / "face_parsing.farl.lapa.main_ema_136500_jit191.pt"
    assert str(place) in str(error.value)
    assert "mIoU" in str(error.value)
    assert "MMDIFF_WEIGHTS" in str(error.value)


def test_the_override_goes_before_the_default_place(places, monkeypatch):
    default = places / "torch" / "hub" / "checkpoints" / "face_parsing.farl.lapa.main_ema_136500_jit191.pt"
    default.parent.mkdir(parents=True)
    default.touch()
    assert weights.require("face_parser") == default
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(places / "mine"))
    assert weights.require("face_parser") == default  # not in the override: the default still serves
    mine = places / "mine" / default.name
    mine.parent.mkdir()
    mine.touch()
    assert weights.require("face_parser") == mine


def test_half_a_download_is_refused(places, monkeypatch):
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(places))
    path = places / "alexnet-owt-7be5be79.pth"
    path.write_bytes(b"half")
    with pytest.raises(ValueError, match=f"begins with {hashlib.sha256(b'half').hexdigest()[:8]}, .* with 7be5be79"):
        weights.require("alexnet")


def test_a_hugging_face_folder_is_found_by_its_main_reference(places):
    model = places / "hf" / "hub" / "models--openai--clip-vit-base-patch32"
    snapshot = model / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    assert weights.find("clip") is None
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc123\n")
    assert weights.find("clip") == snapshot


def test_damage_in_a_folder_names_the_file(tmp_path):
    content = {"config.json": b"{}", "vocab.json": b"[]"}
    members = tuple(
        weights.FolderFile(file=f, sha256=hashlib.sha256(c).hexdigest(), size=len(c)) for f, c in content.items()
    )
    folder = weights.Weight(name="x", file="x", purpose="", source="", license="", members=members)
    (tmp_path / "config.json").write_bytes(b"{}")
    assert weights.damage(folder, tmp_path) == f"{tmp_path / 'vocab.json'} is missing in the folder."
    (tmp_path / "vocab.json").write_bytes(b"[]")
    assert weights.damage(folder, tmp_path) == ""
    (tmp_path / "config.json").write_bytes(b"{ ")
    assert weights.damage(folder, tmp_path).startswith(f"{tmp_path / 'config.json'}: sha256 begins with ")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(KeyError, match="inception, alexnet"):
        weights.find("resnet")


def test_the_listing_names_every_file(places, capsys):
    listing.main()
    output = capsys.readouterr().out
    assert output.count("missing") == len(weights.WEIGHTS)
