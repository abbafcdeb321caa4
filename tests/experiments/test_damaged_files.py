"""A run folder with damaged files: what can be made again is made again, to the same bytes; the rest is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import small_runs
from small_runs import quick_table

from experiments.__main__ import state
from experiments.core.provenance import recorded
from experiments.engine.cli import TableFlags, main
from experiments.protocols.costs import sampling_seconds
from lightning_mmdiff.errors import MissingFileError, UserError
from reports.table_folder import TableFolder

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore:.*counts as missing")]

RUNS = ("expert-seed0", "samples-seed0")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


def flags(data: Path, out: Path) -> TableFlags:
    return TableFlags(profile="smoke", data=data, out=out, only=RUNS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data) -> Path:
    """A finished table without its report."""
    out = tmp_path_factory.mktemp("whole")
    main(quick_table, flags(data, out))
    return out


@pytest.fixture
def out(tmp_path, whole) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "out"))


def results(out: Path) -> dict[str, bytes]:
    """Everything of the runs but times."""
    root = out / "smoke"
    paths = [path for name in RUNS for path in sorted((root / name).rglob("*")) if path.is_file()]
    return {str(p.relative_to(root)): p.read_bytes() for p in paths if p.name != "provenance.json"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nulls(path: Path) -> None:
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({name: {**entry, "value": None} for name, entry in stored.items()}))


@pytest.mark.parametrize(
    ("name", "damage", "gone"),
    [
        ("samples-seed0/metrics.json", empty, ()),
        ("samples-seed0/metrics.json", cut, ()),
        ("samples-seed0/metrics.json", nulls, ()),
        ("samples-seed0/replicates.npz", empty, ()),
        ("samples-seed0/replicates.npz", cut, ()),
        ("samples-seed0/samples/00001.npy", empty, ("samples-seed0/metrics.json",)),
        ("samples-seed0/samples/00001.npy", cut, ("samples-seed0/metrics.json",)),
        ("samples-seed0/provenance.json", empty, ("samples-seed0/samples/00000.npy", "samples-seed0/metrics.json")),
        ("expert-seed0/provenance.json", cut, ("expert-seed0/weights.safetensors",)),
        ("expert-seed0/loss.csv", cut, ("expert-seed0/weights.safetensors",)),
    ],
)
def test_what_can_be_made_again_is(data, whole, out, name, damage, gone) -> None:
    """C9, D7, D12: "Expecting value: line 1 column 1" without a file, EOFError, an empty shard that counts as done."""
    damage(out / "smoke" / name)
    for path in gone:
        (out / "smoke" / path).unlink()
    main(quick_table, flags(data, out))
    assert results(out) == results(whole)


@pytest.mark.parametrize("damage", [empty, cut])
@pytest.mark.parametrize("name", RUNS)
def test_settings_are_written_again_only_where_nothing_was_made_with_them(data, whole, out, name, damage) -> None:
    folder = out / "smoke" / name
    damage(folder / "config.json")
    before = results(out)
    with pytest.raises(UserError, match=rf"{folder}/config.json is damaged .*Move the folder away"):
        main(quick_table, flags(data, out))
    assert results(out) == before
    for path in folder.iterdir():
        if path.name != "config.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    main(quick_table, flags(data, out))
    assert results(out) == results(whole)


@pytest.mark.parametrize("damage", [empty, cut])
@pytest.mark.parametrize("name", ["table.json", "paper.json", "../index.json"])
def test_the_description_of_a_table_is_written_again(data, out, name, damage) -> None:
    folder = TableFolder.of(out / "smoke", "small")
    before = (folder.path / name).read_bytes()
    damage(folder.path / name)
    main(quick_table, TableFlags(profile="smoke", data=data, out=out, part="data"))
    old, new = json.loads(before), json.loads((folder.path / name).read_text())
    if name == "table.json":
        old.pop("provenance"), new.pop("provenance")
    assert new == old


def test_the_list_of_tables_says_which_report_is_damaged(out) -> None:
    folder = TableFolder.of(out / "smoke", "small")
    for content in ("", "{}", '{"rows": [{'):
        folder.metrics.write_text(content)
        assert state(folder) == "damaged; make the report again"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"stage": []}', '{"stage": {"train": 3}}', '{"stage": {"train": {"seconds": "x"}}}']
)
def test_provenance_never_costs_a_result(tmp_path, content) -> None:
    path = tmp_path / "provenance.json"
    path.write_text(content)
    with pytest.raises(MissingFileError, match=f"{path} has no record"):
        sampling_seconds(tmp_path)
    with recorded(tmp_path, "train"):
        pass
    assert json.loads(path.read_text())["stage"]["train"]["seconds"] >= 0
    path.unlink()
    path.mkdir()  # cannot be written
    with pytest.warns(UserWarning, match="was not written"), recorded(tmp_path, "train"):
        pass


def test_a_shard_is_there_when_it_is_whole(out) -> None:
    from lightning_mmdiff.callbacks.shards import missing_shards

    folder = out / "smoke" / "samples-seed0" / "samples"
    assert missing_shards(folder, 8, 4) == []
    empty(folder / "00001.npy")
    assert missing_shards(folder, 8, 4) == [[4, 5, 6, 7]]
    np.savez(folder / "00000.npz", a=np.zeros(3))
    (folder / "00000.npz").rename(folder / "00000.npy")
    assert len(missing_shards(folder, 8, 4)) == 2
