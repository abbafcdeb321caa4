"""The order of work: what others wait for longest comes first, and each run after those it needs."""

from experiments import table1, table9
from experiments.core.costs import in_order
from experiments.engine.work import longest_first, needed
from experiments.runs import TrainRun
from experiments.spec import plan


def test_each_run_comes_after_what_it_needs():
    for table in (table1.table("mini", 0), table9.table("mini", 0)):
        runs = longest_first(plan([table]), [table])
        assert set(runs) == set(plan([table]))
        for number, run in enumerate(runs):
            assert needed(run, [table]) <= set(runs[:number])


def test_two_processes_end_earlier_than_in_the_order_of_the_plan():
    table = table1.table("mini", 0)
    runs = plan([table])

    def makespan(order):
        """Trainings alone, each by the process that is free first."""
        costs, free = in_order(runs), [0.0, 0.0]
        for run in (run for run in order if isinstance(run, TrainRun)):
            free[free.index(min(free))] += costs[run]
        return max(free)

    assert makespan(longest_first(runs, [table])) < 0.95 * makespan(runs)
