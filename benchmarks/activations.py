"""What a network keeps for its backward pass, in MiB: ADM-64's structure, and guided-diffusion's beside it.

    python -m benchmarks.activations --ref DIR

No timing. Each storage counts once, weights do not. DIR holds a clone of https://github.com/openai/guided-diffusion; without
``--ref``, only our network is measured. Keeping less changes no gradient (``tests/networks/test_norm_silu.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from benchmarks import guided_diffusion
from lightning_mmdiff.networks.presets import adm_64
from lightning_mmdiff.runtime.commands import readable_end


@dataclass(frozen=True, kw_only=True)
class ActivationFlags:
    """Settings of the count."""

    ref: Path | None = None
    """Folder of the clone."""
    width: int = 64
    """Channels of the first level, a multiple of 64; 192 as published."""
    rows: int = 2
    """Images of a call."""


def kept(network: nn.Module, forward: Callable[[], Any]) -> float:
    """Return the MiB that autograd keeps of ``forward``, a call of ``network``, without the network's weights."""
    weights = {p.untyped_storage()._cdata for p in network.parameters()}
    storages: dict[int, tuple[Tensor, int]] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            storages[storage._cdata] = tensor, storage.nbytes()  # the tensor keeps the number from being given again
        return tensor

    with saved_tensors_hooks(count, lambda tensor: tensor):
        result = forward()
    del result
    return sum(size for _, size in storages.values()) / 2**20


def main(flags: ActivationFlags) -> None:
    """Print what both networks keep."""
    ours = replace(adm_64(num_classes=None), channels=flags.width).build().train()
    networks: dict[str, nn.Module] = {"ours": ours}
    if flags.ref is not None:
        code = guided_diffusion.load(flags.ref / "guided-diffusion")
        networks["guided-diffusion"] = guided_diffusion.network(code, ours, 64).train()
    x, t = torch.randn(flags.rows, 3, 64, 64), torch.full((flags.rows,), 500)
    for name, network in networks.items():
        print(f"{name}: {kept(network, partial(network, x, t)):.1f} MiB")


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(ActivationFlags, description=__doc__))
