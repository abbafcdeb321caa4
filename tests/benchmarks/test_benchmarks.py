"""Every benchmark runs at a tiny setting, prints a ratio and writes it. How large it is, is nobody's test."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import (
    checkpointing,
    collaborative,
    data,
    features,
    multitask,
    packing,
    same_numbers,
    sampling,
    scaling,
    training,
)
from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn
from lightning_mmdiff.runtime.run_folder import RunFolder


def run(module, flags, folder: Path, capsys: pytest.CaptureFixture) -> tuple[str, list[dict]]:
    module.main(flags)
    stored = json.loads((folder / "out.json").read_text())
    assert {"torch", "threads", "cores", "load"} <= stored["environment"].keys()
    printed = capsys.readouterr().out
    assert printed.count("RATIO") == len(stored["results"])
    for result in stored["results"]:
        assert len(result["ratios"]) == flags.pairs
        assert result["ratio"]["min"] <= result["ratio"]["median"] <= result["ratio"]["max"]
    return printed, stored["results"]


def options(folder: Path, pairs: int = 2) -> dict:
    return {"pairs": pairs, "threads": 1, "out": folder / "out.json"}


@pytest.fixture(autouse=True)
def _keep_threads() -> Iterator[None]:
    """Benchmarks set the number of threads; tests after these keep theirs."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_sampling_equals_the_loop(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flags = sampling.SamplingFlags(batch_size=3, reference_images=2, steps=2, image_size=16, **options(tmp_path))
    _, results = run(sampling, flags, tmp_path, capsys)
    assert len(results) == 3
    for result in results:
        assert result["notes"][0] in [f"largest difference of a pixel: {n} of 255" for n in (0, 1)]


def test_packed_batches_equal_decoded_ones(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flags = data.DataFlags(image_size=16, source_size=32, batch_size=4, batches=1, **options(tmp_path))
    printed, _ = run(data, flags, tmp_path, capsys)
    assert printed.count("both batches are equal: yes") == 2


def test_unchanged_files_and_checked_rows(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    monkeypatch.setattr(packing.sources, "SETTLED", 0)  # the files of 30,000 faces take longer to write
    flags = packing.PackingFlags(faces=12, image_size=16, batch_size=4, batches=2, **options(tmp_path))
    printed, results = run(packing, flags, tmp_path, capsys)
    assert results[0]["settings"]["files"] == 120
    assert "slowest check of all files" in printed
    assert "ms an image, once in a process" in printed


def test_features_equal_those_of_single_images(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """And those of Inception do not depend on whether channels are last or first."""
    flags = features.FeatureFlags(images=2, inception_images=1, **options(tmp_path, pairs=1))
    _, results = run(features, flags, tmp_path, capsys)
    assert len(results) == 2
    for result in results:
        assert float(result["notes"][0].rsplit(" ", 1)[1]) < 1e-4


def test_trainer_and_plain_loop_end_in_the_same_weights(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flags = training.TrainingFlags(block=3, profile="smoke", faces=12, **options(tmp_path))
    printed, results = run(training, flags, tmp_path, capsys)
    assert "OVERHEAD" in printed
    assert float(results[0]["notes"][-1].rsplit(" ", 1)[1]) < 1e-6


def test_one_more_modality(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flags = multitask.MultitaskFlags(block=1, profile="smoke", sizes=(), **options(tmp_path))
    printed, results = run(multitask, flags, tmp_path, capsys)
    assert printed.count("COST") == len(results) == 5
    memory = [float(result["notes"][1].rsplit(" ", 1)[1]) for result in results]
    assert all(0.99 < m < 1.05 for m in memory)


def test_counted_work_of_a_copied_output_block() -> None:
    """A second convolution to patches: forward, and backward to its weights and its input."""
    runs = multitask.pairs("smoke", 64)["masked image, -U"]
    (ours, memory), (alone, less) = (multitask.counted(run) for run in runs)
    network = runs[0].model.network
    positions, outputs = (16 // network.patch_size) ** 2, 3 * network.patch_size**2
    assert ours - alone == pytest.approx(3 * positions * outputs * network.output_width * 9 / 1e9)
    assert memory > less


@pytest.mark.slow
def test_the_network_as_encoder_is_one_more_forward_pass() -> None:
    """Of every image, or of as many classes in every eighth step."""
    for name, cost in (("(-M)", 1 + 1 / 3), ("in turn", 1 + 1 / 24)):
        runs = multitask.pairs("smoke", 64)[f"label, encoded by the U-Net {name}"]
        (ours, _), (alone, _) = (multitask.counted(run) for run in runs)
        assert ours / alone == pytest.approx(cost, abs=0.02)


def test_memory_held_counts_weights_and_what_the_backward_pass_needs() -> None:
    layer, x = torch.nn.Linear(300, 400, bias=False), torch.zeros(50, 300)
    layer.register_buffer("table", torch.zeros(7, 1000))
    _, held = multitask.held(layer, lambda: layer(x))
    numbers = 300 * 400 * multitask.COPIES + 50 * 300 + 7000  # the input is kept for the gradient of the weights
    assert held * 2**20 == 4 * numbers


def test_checkpoints_hold_weights_moments_and_average(tmp_path: Path) -> None:
    flags = checkpointing.CheckpointFlags(step_seconds=0.5, **options(tmp_path))
    comparison = checkpointing.measure("a layer", torch.nn.Linear(300, 400), flags, tmp_path)
    assert comparison.settings["parameters"] == 400 * 301
    size = float(comparison.notes[0].split()[5])
    assert 16 <= size < 16.3  # bytes a parameter: four numbers of four bytes, and names
    assert not list(tmp_path.glob("*.ckpt"))


@pytest.mark.parametrize(
    ("seconds", "clock", "steps"),
    [(0.5, "15 min: 0.06 %", "(stated): 0.05 %"), (24.0, "15 min: 0.99 %", "0.99 % of the time, as they wait 2400 s")],
)
def test_checkpoints_stay_below_one_percent(seconds: float, clock: str, steps: str) -> None:
    _, by_clock, by_steps = checkpointing.costs(seconds, 10**9, 10**8, 0.5)
    assert clock in by_clock
    assert steps in by_steps


def test_plan_is_arithmetic() -> None:
    flags = scaling.ScalingFlags(images=50_000, gpus=64, shard_size=64, steps=100, terms=4, image_size=256)
    text = "\n".join(scaling.plan(flags, 0.001, 0.5, "stated"))
    assert "= 2e+07 network evaluations" in text
    assert "= 782; a GPU makes at most ceil(shards / GPUs) = 13, so 94 % of" in text
    assert "= 9.83 GB of samples" in text
    assert "= 0.09 h" in text  # 13 * (64 * 100 * 4 * 0.001 + 0.5) / 3600


@pytest.mark.slow
def test_shared_work_gives_what_one_process_gives(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flags = scaling.ScalingFlags(processes=(2,), profile="smoke", **options(tmp_path, pairs=1))
    printed, results = run(scaling, flags, tmp_path, capsys)
    assert printed.count("images and metrics are equal: yes") == len(results) == 2
    assert "PLAN" in printed


def test_pairs_are_timed_in_turn() -> None:
    calls: list[str] = []
    ours, reference = Side(run=lambda: calls.append("a"), units=2), Side(run=lambda: calls.append("b"), units=1)
    assert len(in_turn(ours, reference, BenchmarkFlags(pairs=3))) == 3
    assert calls == ["a", "b"] * 3


def test_processor_time_does_not_count_sleep() -> None:
    asleep = Side(run=lambda: time.sleep(0.05), units=1)
    assert (
        in_turn(asleep, asleep, BenchmarkFlags(pairs=1, clock="cpu"))[0][0]
        < 0.05
        <= in_turn(asleep, asleep, BenchmarkFlags(pairs=1))[0][0]
    )


def test_ratio_is_how_many_times_faster_we_are() -> None:
    comparison = Comparison(
        title="", ours="", reference="", unit="image", seconds=((1.0, 2.0), (1.0, 6.0), (1.0, 4.0)), settings={}
    )
    assert comparison.ratios == [2, 6, 4]
    assert "RATIO 4 (2 .. 6)" in "\n".join(comparison.lines())


def test_collaboration_starts_as_the_average_and_keeps_no_activation_of_an_expert(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        collaborative, "count_lines", list
    )  # of the published sizes: seconds, and no question of a setting
    flags = collaborative.CollaborativeFlags(side=8, batch_size=1, **options(tmp_path))
    printed, [result] = run(collaborative, flags, tmp_path, capsys)
    assert result["notes"][1].endswith(" 0.0e+00")
    narrow, wide = re.findall(r"([\d.]+) MiB", printed)
    assert narrow == wide


def test_same_numbers_compares_the_cells_of_the_older_loss_curve(tmp_path: Path) -> None:
    before, after = (RunFolder(tmp_path / name) for name in ("before", "after"))
    for folder, text in ((before, "step,loss\n10,0.5\n"), (after, "step,loss,held_out_loss\n10,0.5,\n12,0.4,0.6\n")):
        folder.path.mkdir()
        folder.loss_curve.write_text(text)
    assert list(same_numbers.differences(before, after)) == []
    assert list(same_numbers.differences(after, before)) == ["losses differ"]
    after.loss_curve.write_text("step,loss,held_out_loss\n10,0.51,\n")
    assert list(same_numbers.differences(before, after)) == ["losses differ"]
