"""The order of work: what others wait for longest comes first, and each run after those it needs."""

import pytest

from experiments import table1, table4, table9
from experiments.core.costs import work
from experiments.engine.work import longest_first, needed
from experiments.runs import TrainRun
from experiments.spec import plan


def test_each_run_comes_after_what_it_needs():
    for table in (table1.table("mini", 0), table9.table("mini", 0)):
        runs = longest_first(plan([table]), [table])
        assert set(runs) == set(plan([table]))
        for number, run in enumerate(runs):
            assert needed(run, [table]) <= set(runs[:number])


def makespan(order, costs):
    """Trainings alone, each by that of two processes which is free first."""
    free = [0.0, 0.0]
    for run in (run for run in order if isinstance(run, TrainRun)):
        free[free.index(min(free))] += costs[run]
    return max(free)


@pytest.mark.parametrize("module", [table4, table9])
def test_two_processes_end_earlier_than_in_the_order_of_the_plan(module):
    table = module.table("mini", 0)
    runs = plan([table])
    costs = work(runs)
    assert makespan(longest_first(runs, [table]), costs) < 0.95 * makespan(runs, costs)


@pytest.mark.parametrize("module", [table1, table4, table9])
def test_two_processes_are_at_work_nearly_to_the_end(module):
    table = module.table("mini", 0)
    runs = plan([table])
    costs = work(runs)
    half = sum(costs[run] for run in runs if isinstance(run, TrainRun)) / 2
    assert half <= makespan(longest_first(runs, [table]), costs) < 1.05 * half
