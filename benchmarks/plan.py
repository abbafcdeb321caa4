"""A plan on paper: hours, bytes and dollars of a table at the paper profile, from operations traced on the meta device.

    python -m benchmarks.plan table1 --tflops 150 --dollars 2.5

Hours are operations over the rate of all GPUs that can work at once: a training uses those that its recipe names, samples are
shared by all. Scoring, loading and waiting are left out. The rate is an assumption until ``benchmarks.gpu`` has measured it.
"""

from dataclasses import dataclass
from importlib import import_module

import tyro

from experiments.core import costs
from experiments.core.tracing import traced
from experiments.runs import Run, SampleRun, TrainRun
from experiments.spec import plan
from lightning_mmdiff.runtime.commands import readable_end


@dataclass(frozen=True, kw_only=True)
class PlanFlags:
    """Settings of the plan."""

    table: tyro.conf.Positional[str]
    """Name of the table."""
    gpus: tuple[int, ...] = (8, 64)
    """Numbers of GPUs."""
    tflops: float = 150.0
    """Rate of one GPU, 1e12 floating-point operations a second."""
    dollars: float = 2.5
    """Price of one GPU for an hour."""


def call_flops(model: TrainRun) -> float:
    """Return the operations of a forward pass of all networks that the model trains, for one image."""
    found = costs.size(model)
    if found is None or found.side is None:
        return 0.0
    return sum(
        traced(n, found.side, 1, training=False, mixed=False, tokens=costs.TOKENS).flops for n in model.model.networks
    )


def operations(run: Run) -> float:
    """Return the operations of a run: of a training three times its forward passes; frozen experts and encodings once."""
    if isinstance(run, TrainRun):
        experts = sum(call_flops(expert) for expert in run.experts if isinstance(expert, TrainRun))
        encodings = 0 if run.experts else run.model.frozen_calls
        return run.trainer.max_steps * run.batch_size * ((3 + encodings) * call_flops(run) + experts)
    models = [each for need in run.needs for each in (need, *need.experts) if isinstance(each, TrainRun)]
    if not models or run.sampler is None:
        return 0.0
    calls = run.num_images * run.sampler.num_steps * run.method.calls_per_step
    return calls * sum(map(call_flops, models)) / len(models)


def written(run: Run) -> float:
    """Return the bytes that stay on disk: weights in 32-bit, or images."""
    if isinstance(run, SampleRun):
        return run.num_images * 3 * run.data.image_size**2 if run.method.makes_images else 0.0
    found = costs.size(run)
    return 4.0 * found.trained if found else 0.0


def hours(runs: list[Run], gpus: int, rate: float) -> float:
    """Return the hours of all runs: the busiest of longest training and equal shares.

    Args:
        runs: the runs of a table.
        gpus: number of GPUs.
        rate: operations a second of one GPU.
    """
    trainings = {run: operations(run) for run in runs if isinstance(run, TrainRun)}
    share = sum(trainings.values()) / gpus
    alone = max((each / min(gpus, costs.processes(run)) for run, each in trainings.items()), default=0.0)
    samples = sum(operations(run) for run in runs if isinstance(run, SampleRun)) / gpus
    return (max(share, alone) + samples) / rate / 3600


def main(flags: PlanFlags) -> None:
    runs = plan([import_module(f"experiments.{flags.table}").table("paper", 0)])
    training = sum(operations(run) for run in runs if isinstance(run, TrainRun))
    sampling = sum(operations(run) for run in runs if isinstance(run, SampleRun))
    left_out = [run.name for run in runs if isinstance(run, TrainRun) and not call_flops(run)]
    print(
        f"{flags.table} at paper: {training:.2e} operations of training, {sampling:.2e} of sampling, {len(runs)} runs"
    )
    print(f"  on disk: {sum(map(written, runs)) / 1e9:.1f} GB of weights and images")
    if left_out:
        print(f"  not counted, no U-Net: {', '.join(left_out)}")
    total = (training + sampling) / (1e12 * flags.tflops) / 3600
    for gpus in flags.gpus:
        needed = hours(runs, gpus, 1e12 * flags.tflops)
        print(
            f"  {gpus} GPUs at {flags.tflops:g} TFLOP/s: {needed:.1f} hours, {total:.0f} GPU hours, "
            f"{flags.dollars * total:.0f} dollars at {flags.dollars:g} an hour"
        )  # fmt: skip


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(PlanFlags, description=__doc__))
