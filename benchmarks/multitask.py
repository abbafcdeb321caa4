"""Cost of one more modality in a training step: MT-Diffusion against a single task with the same U-Net (App. E.5: about 10 %).

    python -m benchmarks.multitask

In the mini profile, both sides take whole optimizer steps in turn, on one batch that stays in memory. At the paper's sizes
(ADM-64 and ADM-128) nothing is run: the multiplications of the forward and backward passes and the tensors that the backward
pass needs are counted on the meta device. Memory is that held when the forward pass ends: weights, gradients, moments,
average, buffers, and the activations kept for the backward pass.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import tyro
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from experiments.core import build
from experiments.recipes import mt_diffusion as recipes
from experiments.runs import TrainRun
from experiments.spec import Profile
from lightning_mmdiff import seeding
from lightning_mmdiff.methods.mt_diffusion.modalities import Label
from lightning_mmdiff.methods.mt_diffusion.modality import ModalityData
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.networks.conditions import NULL_CLASS
from lightning_mmdiff.runtime.commands import readable_end

COPIES = 5
"""Number of four-byte values per trained parameter: weight, gradient, two moments of AdamW, average."""
SIZES: tuple[recipes.Size, ...] = (64, 128)


@dataclass(frozen=True, kw_only=True)
class MultitaskFlags(BenchmarkFlags):
    """Settings for the cost of one more modality."""

    pairs: int = 25
    """Number of blocks of each side."""
    block: int = recipes.IN_TURN
    """Optimizer steps per block; a multiple of the default, so that the network encodes classes in each block."""
    profile: Profile = "mini"
    """Profile of the networks trained (at 16 pixels; mini: batch 32, smoke: batch 4)."""
    sizes: tuple[recipes.Size, ...] = SIZES
    """Image sizes, in pixels, of the published networks counted."""


def pairs(profile: Profile, size: recipes.Size) -> dict[str, tuple[TrainRun, TrainRun]]:
    """Return MT-Diffusion and the single task with the same U-Net and batch, by the name of the added modality."""
    image, reading = recipes.adm(profile, 0, label=False, size=size), recipes.restoration_alone(profile, 0)
    found = {"masked image, -U": (recipes.masked_image(profile, 0, concatenate=False, size=size), image)}
    if size == 64:
        labeled, in_turn = (
            recipes.image_label(profile, 0, head="middle", renew_every=n) for n in (None, recipes.IN_TURN)
        )
        classes = replace(recipes.adm(profile, 0, label=True), batch_size=labeled.batch_size)
        found |= {
            "masked image, -X": (recipes.masked_image(profile, 0), reading),
            "label, encoded by a table": (recipes.several_tasks(profile, 0, "label"), image),
            "label, encoded by the U-Net (-M)": (labeled, classes),
            "label, encoded by the U-Net in turn": (in_turn, classes),
        }
    return found


class Steps:
    """Model that takes optimizer steps, all on the same batch."""

    def __init__(self, run: TrainRun) -> None:
        model: Any = build.model(run, None)
        self.model, self.step = model.train(), 0
        self.optimizer: Any = model.configure_optimizers()["optimizer"]
        self.batch = batch_of(run)

    def take(self, count: int) -> None:
        """Take ``count`` optimizer steps."""
        for _ in range(count):
            self.optimizer.zero_grad()
            self.model.loss(self.batch, seeding.step_generator(0, self.step)).backward()
            self.optimizer.step()
            self.step += 1


def batch_of(run: TrainRun) -> dict[str, Any]:
    """Return a training batch of random pixels with all conditions that ``run`` requests from its data."""
    config, generator = run.data[0], torch.Generator().manual_seed(0)
    draw = partial(torch.randint, generator=generator, dtype=torch.uint8)
    shape = (config.image_size, config.image_size)
    image, mask = draw(0, 256, (run.batch_size, 3, *shape)), 255 * draw(0, 2, (run.batch_size, 1, *shape))
    known = {"masked_image": image & mask, "mask": mask, "label": torch.arange(run.batch_size) % 10}
    wanted = {*config.conditions, *(("mask",) if "masked_image" in config.conditions else ())}
    return {"index": torch.arange(run.batch_size), "image": image, "conditions": {name: known[name] for name in wanted}}


def held(module: nn.Module, forward: Any) -> tuple[Any, float]:
    """Run ``forward``; return its value and the MiB of weights, training state and activations held after it."""
    sizes: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage._cdata] = storage.nbytes()  # views share a storage
        return tensor

    weights = {p.untyped_storage()._cdata for p in module.parameters()}
    with saved_tensors_hooks(count, lambda tensor: tensor):
        value = forward()
    state = sum(p.numel() * (4 * COPIES if p.requires_grad else 4) for p in module.parameters())
    state += sum(b.nbytes for b in module.buffers())
    return value, (state + sum(nbytes for key, nbytes in sizes.items() if key not in weights)) / 2**20


def measure(name: str, ours: TrainRun, alone: TrainRun, flags: MultitaskFlags) -> Comparison:
    """Time whole training steps of both models.

    Args:
        name: name of the added modality.
        ours: run with both tasks.
        alone: run with one task.
        flags: settings of the benchmark.
    """
    sides = [Steps(run) for run in (ours, alone)]
    memory = []
    for side in sides:
        _, found = held(side.model, partial(side.model.loss, side.batch, seeding.step_generator(0, 0)))
        memory.append(found)
        side.take(2)
    first, second = (Side(run=partial(side.take, flags.block), units=flags.block) for side in sides)
    seconds = in_turn(first, second, flags)
    costs = [a / b for a, b in seconds]
    low, middle, high = statistics.quantiles(costs, n=4, method="inclusive")
    return Comparison(
        title=f"Training step with one more modality: {name}",
        ours="both tasks", reference="one task", unit="step", seconds=seconds,
        settings={
            "profile": flags.profile, "pixels": ours.data[0].image_size, "batch": ours.batch_size, "block": flags.block,
        },
        notes=(
            f"COST {middle:.3f} of a step of one task (median; quartiles {low:.3f} .. {high:.3f})",
            f"memory {memory[0]:.1f} MiB, one task {memory[1]:.1f} MiB: {memory[0] / memory[1]:.3f}",
        ),
    )  # fmt: skip


def counted(run: TrainRun) -> tuple[float, float]:
    """Count without running: 10^9 multiply-adds per image of the forward and backward passes; MiB held on one device.

    The work is the mean over one period of steps, in one of which the network encodes classes.
    """
    rows = run.batch_size // run.trainer.devices
    with torch.device("meta"):
        module: Any = build.model(run, None).train()
        step = partial(outputs, module, rows)
        _, memory = held(module, step)
        with FlopCounterMode(display=False) as counter:
            for _ in range(recipes.IN_TURN):
                torch.stack([output.sum() for output in step()]).sum().backward()
    return counter.get_total_flops() / 2e9 / rows / recipes.IN_TURN, memory


def outputs(module: Denoiser | MTDiffusion, rows: int) -> list[Tensor]:
    """Return all outputs that a loss of ``rows`` images compares with data, computed from zeros."""
    z, t = torch.zeros(rows, *module.shape), torch.zeros(rows, dtype=torch.int64)
    if isinstance(module, Denoiser):
        network = module.config.network
        x = torch.zeros(rows, network.in_channels, *module.shape[1:])
        labels = None if network.num_classes is None else torch.full((rows,), NULL_CLASS)
        return [module.network(x, t, None, labels)]
    features = module.network(z, t, module.network.encode(_zeros(module, rows), rows))
    return [features.raw, *(module.network.predict(m, features) for m in module.modalities)]


def _zeros(module: MTDiffusion, rows: int) -> Mapping[str, ModalityData]:
    """Return data of every modality: a picture, or class probabilities."""
    return {
        m.name: ModalityData(
            x=torch.zeros(rows, *((m.num_classes,) if isinstance(m, Label) else module.shape)),
            known=torch.ones(rows, 1, 1, 1),
        )
        for m in module.modalities
    }


def count_lines(flags: MultitaskFlags) -> list[str]:
    """Return lines on the cost of one more modality at the paper's sizes."""
    lines = [
        "Counted at the paper's sizes: multiply-adds of an image, forward and backward; memory of a device in fp32"
    ]
    for size in flags.sizes:
        for name, (ours, alone) in pairs("paper", size).items():
            (work, memory), (less_work, less_memory) = counted(ours), counted(alone)
            lines.append(
                f"  ADM-{size}, {name}: {work:.1f} for {less_work:.1f} x 10^9, COST {work / less_work:.3f}; "
                f"{memory / 1024:.2f} for {less_memory / 1024:.2f} GiB, {memory / less_memory:.3f}"
            )
    return lines


def main(flags: MultitaskFlags) -> None:
    torch.set_num_threads(flags.threads)
    report([measure(name, *runs, flags) for name, runs in pairs(flags.profile, 64).items()], flags)
    print("\n".join(count_lines(flags)), flush=True)


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(MultitaskFlags, description=__doc__))
