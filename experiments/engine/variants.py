"""Tables that differ from a profile's in one number, for a look at what it does; their runs have names of their own."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

from experiments.runs import SampleRun, TrainRun
from experiments.spec import Agreement, Row, Table, plan
from lightning_mmdiff.optimization import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What a table's runs have instead of the profile's numbers; None is the profile's."""

    images: int | None = None
    """At most so many images a row."""
    longer: int | None = None
    """So many times the optimizer steps."""

    @property
    def words(self) -> list[str]:
        """The variant as words of a command line."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return [word for name, value in given.items() if value for word in (f"--{name}", str(value))]

    def of(self, table: Table) -> Table:
        """Return the table's variant."""
        table = table if self.longer is None else trained_longer(table, self.longer)
        return table if self.images is None else of_images(table, self.images)


AS_IS = Variant()
"""The profile's own numbers."""


def of_images(table: Table, count: int) -> Table:
    """Return the table with at most ``count`` images a row."""

    def fewer(run: SampleRun) -> SampleRun:
        return run if run.num_images <= count else replace(run, name=f"{run.name}-of-{count}", num_images=count)

    return with_samples(table, fewer)


def trained_longer(table: Table, times: int) -> Table:
    """Return the table with ``times`` the optimizer steps in every model of its rows.

    Switches between data sets and falling learning rates move with the end; warm-ups do not. What a model is built on (the
    image-text model, the autoencoder, the generator) and the evaluators train as before.
    """
    suffix = f"-longer-{times}"
    trained = [run for run in plan([table]) if isinstance(run, TrainRun)]
    kept = {*table.evaluators, *(helper for run in trained for helper in (run.embedder, run.autoencoder, run.decoder))}

    def moved(optimizer: OptimizerConfig) -> OptimizerConfig:
        decay = optimizer.decay_steps and times * optimizer.decay_steps
        return replace(optimizer, decay_steps=decay, constant_steps=times * optimizer.constant_steps)

    @cache
    def longer(run: TrainRun) -> TrainRun:
        if run in kept:
            return run
        return replace(
            run,
            name=run.name + suffix,
            model=rebuilt(run.model, OptimizerConfig, moved),
            trainer=replace(run.trainer, max_steps=times * run.trainer.max_steps),
            switch_step=run.switch_step and times * run.switch_step,
            experts=rebuilt(run.experts, TrainRun, longer),
            initial=rebuilt(run.initial, TrainRun, longer),
        )

    def sampled(run: SampleRun) -> SampleRun:
        method = rebuilt(run.method, TrainRun, longer)
        return run if method is run.method else replace(run, name=run.name + suffix, method=method)

    note = f"Every model of a row trained {times} times as long as the profile says."
    table, agreement = replace(with_samples(table, sampled), notes=(note, *table.notes)), table.agreement
    if agreement is None:
        return table
    joint = rebuilt(agreement.joint, TrainRun, longer)
    return replace(table, agreement=Agreement(united=sampled(agreement.united), joint=joint))


def rebuilt(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return a config, or a tuple, with ``change`` made to every ``kind`` in it."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, tuple):
        return tuple(rebuilt(item, kind, change) for item in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    fields_of = {field.name: getattr(value, field.name) for field in fields(value)}
    changed = {name: new for name, old in fields_of.items() if (new := rebuilt(old, kind, change)) != old}
    return replace(value, **changed) if changed else value


def with_samples(table: Table, change: Callable[[SampleRun], SampleRun]) -> Table:
    """Return the table with each row's sample run changed."""

    def changed(row: Row) -> Row:
        return row if row.sample is None else replace(row, sample=change(row.sample))

    return replace(table, rows=tuple(changed(row) for row in table.rows))
