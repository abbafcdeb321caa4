"""A table's variants: fewer images and longer trainings, in runs of their own names that leave the profile's as they are."""

import importlib
from dataclasses import fields

import pytest

from experiments import INDEX
from experiments.engine.cli import TableFlags, main, tables_of
from experiments.engine.variants import AS_IS, Variant, rebuilt
from experiments.runs import Run, TrainRun
from experiments.spec import Profile, Table, plan
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.optimization import OptimizerConfig

PROFILES: tuple[Profile, ...] = ("smoke", "mini", "paper")


def table(name: str, profile: Profile = "mini", variant: Variant = AS_IS) -> Table:
    (found,) = tables_of(importlib.import_module(f"experiments.{name}").table, profile, 1, variant)
    return found


def planned(name: str, profile: Profile, variant: Variant = AS_IS) -> dict[str, Run]:
    return {run.name: run for run in plan([table(name, profile, variant)])}


def optimizers(run: TrainRun) -> list[OptimizerConfig]:
    found: list[OptimizerConfig] = []

    def seen(optimizer: OptimizerConfig) -> OptimizerConfig:
        found.append(optimizer)
        return optimizer

    rebuilt(run.model, OptimizerConfig, seen)
    return found


def test_a_quick_look_has_runs_of_its_own() -> None:
    for whole, few in zip(table("table4").rows, table("table4", variant=Variant(images=200)).rows, strict=True):
        if whole.sample and few.sample:
            assert few.sample.num_images == 200
            assert few.sample.name == f"{whole.sample.name}-of-200"


@pytest.mark.parametrize("name", [entry.name for entry in INDEX])
@pytest.mark.parametrize("profile", PROFILES)
def test_longer_trainings_have_all_their_lengths_stretched_and_names_of_their_own(name, profile) -> None:
    usual, longer = planned(name, profile), planned(name, profile, Variant(longer=3))
    judges = {run.name for run in table(name, profile).evaluators}
    trained = [run for run in usual.values() if isinstance(run, TrainRun)]
    helpers = {helper.name for run in trained for helper in (run.embedder, run.autoencoder, run.decoder) if helper}
    for run in longer.values():
        before = usual[run.name.removesuffix("-longer-3")]
        if run.name == before.name:  # evaluators, what models are built on, samples of what nobody trains
            assert run == before
            continue
        assert before.name not in judges | helpers
        if not isinstance(run, TrainRun):
            assert {need.name.removesuffix("-longer-3") for need in run.needs} == {need.name for need in before.needs}
            continue
        assert run.trainer.max_steps == 3 * before.trainer.max_steps
        assert (run.switch_step or 0) == 3 * (before.switch_step or 0)
        assert (run.batch_size, run.data, run.embedder) == (before.batch_size, before.data, before.embedder)
        for new, old in zip(optimizers(run), optimizers(before), strict=True):
            assert (new.lr, new.warmup_steps) == (old.lr, old.warmup_steps)
            assert (new.decay_steps or 0, new.constant_steps) == (3 * (old.decay_steps or 0), 3 * old.constant_steps)


@pytest.mark.parametrize("name", ["table1", "table6", "table9"])
def test_models_of_rows_are_trained_longer_and_their_experts_with_them(name) -> None:
    rows = [row.sample for row in table(name, variant=Variant(longer=2)).rows if row.sample]
    trained = [need for sample in rows for need in sample.needs]
    assert trained
    assert all(run.name.endswith("-longer-2") for run in trained if run.name != "image-text-model")
    assert all(e.name.endswith("-longer-2") for run in trained for e in (*run.experts, *filter(None, [run.initial])))


def test_the_figure_of_agreement_follows_its_rows() -> None:
    agreement = table("head_to_head", variant=Variant(longer=2)).agreement
    assert agreement is not None
    assert all(run.name.endswith("-longer-2") for run in (*agreement.united.needs, agreement.joint.run))


def test_a_variant_is_said_by_the_words_of_its_flags() -> None:
    assert Variant(images=64, longer=2).words == ["--images", "64", "--longer", "2"]
    assert AS_IS.words == []
    assert {field.name for field in fields(Variant)} <= {field.name for field in fields(TableFlags)}


@pytest.mark.parametrize("flags", [TableFlags(images=0, launcher="dry-run"), TableFlags(longer=0, launcher="dry-run")])
def test_a_variant_of_nothing_is_refused(flags) -> None:
    module = importlib.import_module("experiments.table4")
    with pytest.raises(UserError, match=r"--(images|longer) is 0"):
        main(module.table, flags)


def test_a_table_of_longer_trainings_says_so() -> None:
    assert "2 times as long" in table("table6", variant=Variant(longer=2)).notes[0]
