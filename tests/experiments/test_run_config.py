"""The settings in a run's folder: what opens again, what is refused, and what older versions of the code wrote."""

import dataclasses
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from experiments import INDEX
from experiments.core.run_config import as_json, check_run_config, differences
from experiments.recipes import unite_and_conquer as recipes
from experiments.recipes.collaborative import mask_expert
from experiments.runs import Run
from experiments.spec import plan
from lightning_mmdiff.errors import UserError
from reports import old_configs
from reports.old_configs import OLD_NAMES, upgrade

OLD = Path(__file__).parent / "old_configs"
"""Settings of runs of the smoke profile, written before types were renamed."""


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """As a setting of a run could be."""

    steps: int
    name: str = "ddim"
    scales: tuple[float, ...] = (1.0, 2.0)
    tags: list[str] = dataclasses.field(default_factory=list)


def runs_of(table: str) -> dict[str, Run]:
    return {run.name: run for run in plan([importlib.import_module(f"experiments.{table}").table("smoke", 0)])}


def stored(value: Any) -> Any:
    return json.loads(json.dumps(as_json(value)))


def dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from dictionaries(child)
    if isinstance(value, dict):
        yield value


def types(value: Any) -> Iterator[str]:
    return (part["type"] for part in dictionaries(value))


def test_another_setting_under_the_same_name_names_the_field(tmp_path) -> None:
    run = recipes.hair_expert("smoke", 0)
    check_run_config(tmp_path, run, {"celebamask_hq": "abc"})
    check_run_config(tmp_path, run, {"celebamask_hq": "abc"})
    with pytest.raises(UserError, match=r"\(batch_size: 4 there, 5 now\)"):
        check_run_config(tmp_path, replace(run, batch_size=5), {"celebamask_hq": "abc"})
    longer = replace(run, trainer=replace(run.trainer, max_steps=7))
    with pytest.raises(UserError, match=r"\(trainer.max_steps: \d+ there, 7 now\)"):
        check_run_config(tmp_path, longer, {"celebamask_hq": "abc"})
    with pytest.raises(UserError, match=r"fingerprints.celebamask_hq: 'abc' there, 'xyz' now"):
        check_run_config(tmp_path, run, {"celebamask_hq": "xyz"})


def test_the_fingerprint_of_an_earlier_version_opens_a_folder_and_stays(tmp_path) -> None:
    """Fault C2: one of contents came instead of one of names and sizes."""
    run, now = recipes.hair_expert("smoke", 0), {"celebamask_hq": "contents"}
    check_run_config(tmp_path, run, {"celebamask_hq": "names"})
    before = (tmp_path / "config.json").read_bytes()
    check_run_config(tmp_path, run, now, {"celebamask_hq": "names"})
    assert (tmp_path / "config.json").read_bytes() == before
    with pytest.raises(UserError, match=r"fingerprints.celebamask_hq: 'names' there, 'contents' now"):
        check_run_config(tmp_path, run, now, {"celebamask_hq": "other names"})
    check_run_config(tmp_path / "new", run, now, {"celebamask_hq": "names"})
    assert json.loads((tmp_path / "new" / "config.json").read_text())["fingerprints"] == now


def test_config_file_holds_every_field(tmp_path) -> None:
    run = recipes.text_expert("mini", 0)
    check_run_config(tmp_path, run, {})
    assert json.loads((tmp_path / "config.json").read_text()) == {**stored(run), "fingerprints": {}}


def test_a_half_written_config_is_named(tmp_path) -> None:
    (tmp_path / "weights.safetensors").touch()
    for text in ("", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UserError, match=r"config.json is damaged .* Move the folder away"):
            check_run_config(tmp_path, recipes.hair_expert("smoke", 0), {})


@pytest.mark.parametrize(("table", "name"), [("table9", "dynamic-diffusers"), ("head_to_head", "mt-mask-text")])
def test_a_folder_made_before_types_were_renamed_opens(table: str, name: str, tmp_path) -> None:
    path, run = tmp_path / "config.json", runs_of(table)[name]
    before = json.loads((OLD / f"{name}.json").read_text())
    for data in dictionaries(before):
        if "mask" in data.get("conditions", ()):
            data["label_size"] = 8  # before, tokens were read from other pixels, so such a folder must not open
    path.write_text(json.dumps(before))
    assert any(old in set(types(before["model"])) for names in OLD_NAMES.values() for old in names)
    check_run_config(tmp_path, run, before["fingerprints"])
    assert json.loads(path.read_text()) == before  # it stays as it was written
    with pytest.raises(UserError, match=r"\(seed: 0 there, 3 now\)"):
        check_run_config(tmp_path, replace(run, seed=3), before["fingerprints"])


def test_a_field_that_an_old_folder_lacks_counts_as_its_default() -> None:
    old = {"type": "Sampler", "steps": 5}
    assert not list(differences(old, Sampler(steps=5)))
    changed = Sampler(steps=5, name="ddpm", scales=(1.0,), tags=["a"])
    assert list(differences(old, changed)) == [
        "name: 'ddim' there, 'ddpm' now",
        "scales: [1.0, 2.0] there, [1.0] now",
        "tags: [] there, ['a'] now",
    ]


def test_a_missing_field_without_a_default_is_a_difference() -> None:
    assert list(differences({"type": "Sampler"}, Sampler(steps=5))) == ["steps: absent there, 5 now"]


def test_another_type_is_one_difference() -> None:
    old = {"type": "Solver", "order": 2}
    assert list(differences(old, Sampler(steps=5), "sampler")) == ["sampler.type: 'Solver' there, 'Sampler' now"]
    assert list(differences(None, Sampler(steps=5), "sampler"))[0].startswith("sampler: None there, {'type': 'Sampler'")


def test_a_field_that_is_gone_is_a_difference_unless_it_held_its_default(monkeypatch) -> None:
    monkeypatch.setitem(old_configs.RETIRED, "Sampler", {"eta": 0.0})
    assert not list(differences(upgrade({**stored(Sampler(steps=5)), "eta": 0.0}), Sampler(steps=5)))
    for name in ("eta", "sigma"):
        old = upgrade({**stored(Sampler(steps=5)), name: 0.5})
        assert list(differences(old, Sampler(steps=5))) == [f"{name}: 0.5 there, absent now"]


def test_how_a_network_runs_was_a_setting_of_its_model() -> None:
    run = mask_expert("paper", 0)
    old = stored(run)
    assert old["model"]["network"].pop("checkpointing")
    assert not list(differences(upgrade({**old, "model": {**old["model"], "checkpointing": True}}), run))
    other = upgrade({**old, "model": {**old["model"], "checkpointing": False}})
    assert list(differences(other, run)) == ["model.network.checkpointing: False there, True now"]
    pixels = stored(recipes.hair_expert("paper", 0))
    assert not list(
        differences(
            upgrade({**pixels, "model": {**pixels["model"], "compile": False}}), recipes.hair_expert("paper", 0)
        )
    )


@pytest.mark.parametrize("name", [entry.name for entry in INDEX])
def test_settings_of_today_need_no_upgrade(name: str) -> None:
    """An old name that is in use again would turn one type into another."""
    for run in runs_of(name).values():
        assert upgrade(stored(run)) == stored(run)
        assert not list(differences(stored(run), run))


def test_every_renamed_type_exists() -> None:
    used = {
        name for table in ("table9", "head_to_head") for run in runs_of(table).values() for name in types(stored(run))
    }
    assert set(OLD_NAMES) <= used
