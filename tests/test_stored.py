"""A damaged file is named and counts as missing; an error of the system is neither."""

import json
from pathlib import Path

import numpy as np
import pytest

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.stored import read_json, stored_array, stored_arrays, stored_json

READERS = {"values.json": (stored_json, {}), "values.npy": (stored_array, None), "values.npz": (stored_arrays, None)}
DAMAGES = {
    "emptied": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "another kind": lambda content: b"<html>Quota exceeded</html>",
    "not UTF-8": lambda content: b'{"\xff": 1}',
    "nested without end": lambda content: b"[" * 100_000,
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """One whole file of each kind."""
    (tmp_path / "values.json").write_text(json.dumps({"a": [1, 2, 3], "b": "x"}))
    np.save(tmp_path / "values.npy", np.arange(1000))
    np.savez(tmp_path / "values.npz", a=np.arange(1000), b=np.zeros((2, 3)))
    return tmp_path


def test_whole_files_are_read(folder) -> None:
    assert stored_json(folder / "values.json") == {"a": [1, 2, 3], "b": "x"}
    assert np.array_equal(stored_array(folder / "values.npy"), np.arange(1000))
    found = stored_arrays(folder / "values.npz")
    assert {name: array.shape for name, array in found.items()} == {"a": (1000,), "b": (2, 3)}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_damage_is_named_and_counts_as_missing(folder, name, damage) -> None:
    path, (reader, nothing) = folder / name, READERS[name]
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.warns(UserWarning, match=rf"{path}.* counts as missing"):
        assert reader(path) == nothing


@pytest.mark.parametrize("name", READERS)
def test_what_is_absent_needs_no_warning_and_what_is_no_file_is_an_error(folder, name, recwarn) -> None:
    reader, nothing = READERS[name]
    assert reader(folder / f"absent-{name}") == nothing
    assert not recwarn.list
    with pytest.raises(IsADirectoryError):
        reader(folder)


def test_an_array_is_no_archive_and_an_archive_no_array(folder) -> None:
    (folder / "values.npy").rename(folder / "x")
    (folder / "values.npz").rename(folder / "values.npy")
    (folder / "x").rename(folder / "values.npz")
    for name in ("values.npy", "values.npz"):
        with pytest.warns(UserWarning, match=f"{name} is damaged"):
            assert READERS[name][0](folder / name) is None


@pytest.mark.parametrize(("content", "words"), [("", "it is empty"), ("[1]", "it holds a list"), ("{", "line 1")])
def test_a_file_that_is_needed_is_an_error_with_its_name(tmp_path, content, words) -> None:
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"{path} is damaged \(.*{words}"):
        read_json(path)
