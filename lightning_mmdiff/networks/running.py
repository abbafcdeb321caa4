"""How a network is run: settings that change time and memory, and results by rounding alone."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lightning_mmdiff.configs import Config


@dataclass(frozen=True, kw_only=True)
class RunningConfig(Config):
    """Settings of every U-Net."""

    checkpointing: bool = False  # recompute activations in the backward pass: less memory, one more forward pass
    channels_last: bool = False  # keep channels innermost in memory, as the tensor cores of GPUs read them
    compile: bool = False  # by torch.compile, at the first call, which then takes much longer


def prepare(network: nn.Module, config: RunningConfig) -> None:
    """Lay out and compile ``network`` as ``config`` says, in place: names of parameters stay, activations follow the weights."""
    if config.channels_last:
        last: Any = torch.channels_last
        network.to(memory_format=last)
    if config.compile:
        network.compile()
