"""The comparison with official codes and the measurement of a GPU, as far as they run without either; the plan on paper."""

from dataclasses import replace

import pytest
import torch

from benchmarks import activations, gpu, guided_diffusion, official, plan
from benchmarks.gpu_clock import GpuFlags
from experiments import table1
from experiments.runs import TrainRun
from experiments.spec import plan as runs_of
from lightning_mmdiff.networks.presets import adm_64


def test_without_clones_the_comparison_says_what_it_needs(tmp_path) -> None:
    with pytest.raises(ValueError, match="neither guided-diffusion/ nor Collaborative-Diffusion/"):
        official.main(official.OfficialFlags(ref=tmp_path, threads=torch.get_num_threads()))


def test_every_parameter_has_its_own_name_in_guided_diffusion() -> None:
    with torch.device("meta"):
        names = [
            guided_diffusion.renamed(name)
            for name in replace(adm_64(num_classes=None), channels=64).build().state_dict()
        ]
    assert len(set(names)) == len(names)
    heads = {name.split(".")[0] for name in names}
    assert heads == {"time_embed", "input_blocks", "middle_block", "output_blocks", "out"}
    assert "input_blocks.1.0.in_layers.0.weight" in names
    assert "output_blocks.0.1.proj_out.weight" in names


@pytest.mark.slow
def test_the_gpu_measurement_runs_on_a_cpu_at_a_tiny_size(tmp_path, capsys) -> None:
    gpu.main(GpuFlags(device="cpu", tiny=True, compile=False, out=tmp_path / "out.json"))
    printed = capsys.readouterr().out
    assert printed.count("forward: ") == 3
    assert printed.count("sampling: ") == 3
    assert "table6 at paper" in printed
    assert "skipped" not in printed


def test_a_plan_counts_all_work_and_cannot_go_below_the_longest_training(monkeypatch) -> None:
    monkeypatch.setattr(plan, "call_flops", lambda model: 1.0)
    runs = runs_of([table1.table("smoke", 0)])
    total = sum(map(plan.operations, runs))
    trainings = [run for run in runs if isinstance(run, TrainRun)]
    assert sum(map(plan.operations, trainings)) == sum(3 * run.trainer.max_steps * run.batch_size for run in trainings)
    assert plan.hours(runs, 1, 1.0) == pytest.approx(total / 3600)
    longest = max(map(plan.operations, trainings))
    assert plan.hours(runs, 10**9, 1.0) == pytest.approx(longest / 3600, rel=1e-3)


def test_activations_are_counted_once_and_without_weights() -> None:
    """Of 2 x (4 + 8) x 16 x 16 numbers in 32-bit: the input of a convolution, and its output, which two functions keep."""
    layer, x = torch.nn.Conv2d(4, 8, 3, padding=1), torch.randn(2, 4, 16, 16)

    def forward() -> torch.Tensor:
        h = layer(x)
        return torch.sin(h) + torch.cos(h)

    assert activations.kept(layer, forward) == 4 * 2 * (4 + 8) * 16**2 / 2**20
