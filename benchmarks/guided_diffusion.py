"""OpenAI's guided-diffusion (Dhariwal & Nichol 2021) as a reference: its own modules from a clone, with our weights.

Its two dependencies that are not installed are replaced by what one process needs of them: files are opened as files, and
MPI has one rank.
"""

import importlib
import importlib.machinery
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff.networks.unet import UNet, UNetConfig

NAMES = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3", "time": "emb_layers.1",
    "skip": "skip_connection", "out": "proj_out",
}  # fmt: skip
STACKS = {"down": "input_blocks", "middle": "middle_block", "up": "output_blocks"}


def load(ref: Path) -> SimpleNamespace:
    """Return the modules ``unet``, ``script_util`` and ``train_util`` of the clone at ``ref``."""
    comm = SimpleNamespace(rank=0, size=1, Get_rank=lambda: 0, Get_size=lambda: 1)
    comm.bcast, comm.gather = (lambda x, root=0: x), (lambda x: [x])
    stubs: dict[str, dict[str, Any]] = {
        "blobfile": {"join": os.path.join, "exists": os.path.exists, "BlobFile": open, "dirname": os.path.dirname},
        "mpi4py": {"MPI": SimpleNamespace(COMM_WORLD=comm)},
    }
    for name, contents in stubs.items():
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        vars(module).update(contents)
        sys.modules.setdefault(name, module)
    sys.path.insert(0, str(ref))
    try:
        names = ("unet", "script_util", "train_util", "logger")
        return SimpleNamespace(**{name: importlib.import_module(f"guided_diffusion.{name}") for name in names})
    finally:
        sys.path.remove(str(ref))


def renamed(name: str) -> str:
    """Return guided-diffusion's name of one of our parameters."""
    first, *rest = name.split(".")
    if first in STACKS:
        places = 1 if first == "middle" else 2
        layer = rest[places:]
        return ".".join([STACKS[first], *rest[:places], NAMES.get(layer[0], layer[0]), *layer[1:]])
    return {"out_norm": "out.0.", "out_conv": "out.2."}[first] + rest[0] if first in ("out_norm", "out_conv") else name


def network(code: SimpleNamespace, ours: UNet, size: int, *, fp16: bool = False) -> Any:
    """Return guided-diffusion's network with the weights of ``ours``.

    Args:
        code: its modules.
        ours: our network, of the "new" order of heads.
        size: height and width in pixels.
        fp16: whether it computes in 16-bit.
    """
    config: UNetConfig = ours.config
    found = code.unet.UNetModel(
        image_size=size, in_channels=config.in_channels, model_channels=config.channels, out_channels=config.out_channels,
        num_res_blocks=config.num_res_blocks, attention_resolutions=tuple(2**level for level in config.attention_levels),
        channel_mult=config.channel_mult, num_head_channels=config.head_channels, dropout=config.dropout,
        use_scale_shift_norm=True, resblock_updown=True, use_new_attention_order=True, use_fp16=fp16,
    )  # fmt: skip
    found.load_state_dict({renamed(name): value.clone() for name, value in ours.state_dict().items()})
    found.to(next(ours.parameters()).device)
    if fp16:
        found.convert_to_fp16()
    return found


def train_loop(code: SimpleNamespace, model: nn.Module, images: Tensor, folder: Path, *, fp16: bool = False) -> Any:
    """Return its training loop over one batch of ``images``, float [-1, 1] [B, 3, H, W]: AdamW, EMA and log, as published.

    Args:
        code: its modules.
        model: its network.
        images: the batch of every step.
        folder: folder of its logs.
        fp16: whether it trains in 16-bit.
    """
    if not torch.distributed.is_initialized():
        store = torch.distributed.FileStore(str(folder / "store"), 1)
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    code.logger.configure(dir=str(folder), format_strs=[])
    diffusion = code.script_util.create_gaussian_diffusion(
        steps=1000, learn_sigma=True, noise_schedule="cosine", use_kl=False, predict_xstart=False,
        rescale_timesteps=False, rescale_learned_sigmas=False, timestep_respacing="",
    )  # fmt: skip

    def batches() -> Iterator[tuple[Tensor, dict]]:
        while True:
            yield images, {}

    return code.train_util.TrainLoop(
        model=model, diffusion=diffusion, data=batches(), batch_size=len(images), microbatch=-1, lr=1e-4,
        ema_rate="0.9999", log_interval=10**9, save_interval=10**9, resume_checkpoint="", use_fp16=fp16,
    )  # fmt: skip
