"""Checkpoints at the paper's sizes: seconds, bytes on disk, and the share of training time that they cost.

    python -m benchmarks.checkpointing

Checkpoints hold weights, Adam's two moments and averaged weights of Collaborative Diffusion's networks: the uni-modal model
(403.6 M trainable parameters) and its two dynamic diffusers (26.3 M). Our writer (beside the final name, synced, renamed) is
compared with Lightning's (whole file in memory, then in /tmp, then moved). The first model needs 15 GiB of memory and disk.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch
import tyro
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import CheckpointIO, TorchCheckpointIO
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from experiments.core.build import QUIET
from experiments.recipes.unite_and_conquer import hair_expert
from lightning_mmdiff.callbacks.checkpoints import MINUTES, AtomicCheckpointIO, pause
from lightning_mmdiff.callbacks.ema import EMA
from lightning_mmdiff.networks.dynamic_diffuser import DynamicDiffuser, dynamic_diffuser_unet
from lightning_mmdiff.networks.ldm import CrossAttentionUNet, ldm_unet
from lightning_mmdiff.runtime.commands import readable_end

Name = Literal["two-dynamic-diffusers", "uni-modal-model"]
MODELS: dict[Name, Callable[[], nn.Module]] = {
    "two-dynamic-diffusers": lambda: nn.ModuleList(DynamicDiffuser(dynamic_diffuser_unet()) for _ in range(2)),
    "uni-modal-model": lambda: CrossAttentionUNet(ldm_unet()),
}
BYTES = 40
"""Bytes of memory per parameter: weight, gradient, two moments, average, and the reference's whole file."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFlags(BenchmarkFlags):
    """Settings for the cost of a checkpoint."""

    folder: Path | None = None
    """Folder of the checkpoints. Default: a temporary folder; give one on the disk that holds your runs."""
    step_seconds: float = 0.5
    """Assumed seconds of one training step, for the share of time at the interval counted in steps."""
    models: tuple[Name, ...] = ("two-dynamic-diffusers", "uni-modal-model")
    """Models with 26.3 million parameters (2 GiB of memory) and with 403.6 million (15 GiB)."""


class Filled(LightningModule):
    """Model that takes one step of Adam, so that all of Adam's state exists."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, *_: object) -> Tensor:
        """Pull every parameter toward zero."""
        return torch.stack([p.square().mean() for p in self.parameters()]).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW, as all our models do."""
        return torch.optim.AdamW(self.parameters(), lr=1e-5)


def measure(name: str, network: nn.Module, flags: CheckpointFlags, folder: Path) -> Comparison:
    """Time both writers of a checkpoint in turn.

    Args:
        name: name of the network.
        network: network whose checkpoint is written.
        flags: settings of the benchmark.
        folder: folder of the checkpoints, which are deleted afterwards.
    """
    trainer = Trainer(max_steps=1, callbacks=[EMA(0.9999)], enable_checkpointing=False, accelerator="cpu", **QUIET)
    module = Filled(network)
    trainer.fit(module, DataLoader(TensorDataset(torch.zeros(1))))
    module.zero_grad(set_to_none=True)

    def side(writer: CheckpointIO, path: Path) -> Side:
        def save() -> None:
            trainer.strategy.checkpoint_io = writer
            trainer.save_checkpoint(path)

        return Side(run=save, units=1)

    ours, reference = (folder / f"{who}.ckpt" for who in ("ours", "reference"))
    seconds = in_turn(side(AtomicCheckpointIO(), ours), side(TorchCheckpointIO(), reference), flags)
    parameters = sum(p.numel() for p in network.parameters())
    size = ours.stat().st_size
    comparison = Comparison(
        title=f"Checkpoint of {name}: ours against Lightning's writer",
        ours="beside, synced, renamed",
        reference="memory, /tmp, moved",
        unit="checkpoint",
        seconds=seconds,
        settings={"parameters": parameters, "GB": round(size / 1e9, 3)},
        notes=tuple(costs(statistics.median(ours for ours, _ in seconds), size, parameters, flags.step_seconds)),
    )
    ours.unlink()
    reference.unlink()
    return comparison


def costs(seconds: float, size: int, parameters: int, step_seconds: float) -> Iterator[str]:
    """Yield the cost of checkpoints, and the share of training time that they take at its intervals.

    Args:
        seconds: time of a checkpoint.
        size: bytes of a checkpoint.
        parameters: number of the model's parameters.
        step_seconds: assumed time of a training step.
    """
    yield f"{seconds:.2f} s and {size / 1e9:.2f} GB, {size / parameters:.1f} bytes a parameter, {size / seconds / 1e6:.0f} MB/s"
    every = hair_expert("paper", 0).trainer.checkpoint_every
    intervals = {
        f"{MINUTES:.0f} min": 60 * MINUTES,
        f"{every} steps of {step_seconds} s (stated)": every * step_seconds,
    }
    for name, asked in intervals.items():
        interval = max(asked, pause(seconds))
        share = f"{100 * seconds / (seconds + interval):.2f} % of the time"
        yield f"every {name}: {share}" + (f", as they wait {interval:.0f} s" if interval > asked else "")


def main(flags: CheckpointFlags) -> None:
    torch.set_num_threads(flags.threads)
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        report([measure(name, made(name), flags, Path(folder)) for name in flags.models], flags)


def made(name: Name) -> nn.Module:
    """Return a model of the paper's size, if it fits into memory.

    Raises:
        ValueError: if it does not, since the operating system would then kill this process or another.
    """
    with torch.device("meta"):
        need = BYTES * sum(p.numel() for p in MODELS[name]().parameters())
    free = psutil.virtual_memory().available
    if need > free:
        raise ValueError(
            f"{name} takes {need / 2**30:.0f} GiB of memory and {free / 2**30:.0f} are free; name others with --models."
        )
    return MODELS[name]()


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(CheckpointFlags, description=__doc__))
