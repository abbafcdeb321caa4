"""Inputs, weights and closed-form models of the golden files: made by name, so that a file holds what the other code returned.

The same functions were called beside the reference codes when the files were recorded (see ``README.md``).
"""

import itertools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_mmdiff.models.diffusion import DiffusionModel, Encoded
from lightning_mmdiff.sampling import Conditions, SamplingModule
from lightning_mmdiff.schedules import NoiseSchedule, Sampler

FOLDER = Path(__file__).parent

PARTS = {
    "down": "input_blocks", "middle": "middle_block", "up": "output_blocks", "out_norm": "out.0", "out_conv": "out.2",
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3", "label": "label_emb",
    "time": "emb_layers.1", "embedding": "cond_emb_layers.1", "skip": "skip_connection", "out": "proj_out",
    "project": "input_blocks_convert",
}  # fmt: skip
"""Part of a name in our networks -> the part in guided-diffusion's and Unite and Conquer's."""
POOL = {
    "norm": "out.0", "pool.position": "out.2.positional_embedding", "pool.qkv": "out.2.qkv_proj", "pool.out": "out.2.c_proj"
}  # fmt: skip
"""Beginning of a name in our classifier -> the beginning in guided-diffusion's."""


def numbers(name: str, *shape: int) -> Tensor:
    """Standard normal numbers, float32, that depend on ``name`` and ``shape`` alone, in every version of numpy and torch."""
    source = np.random.RandomState(zlib.crc32(name.encode()))  # noqa: NPY002 (its numbers never change, by NEP 19)
    return torch.from_numpy(source.standard_normal(shape)).float()


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """A weight of moderate gain under its official name; none is zero, since a zero branch would hide errors."""
    if len(shape) > 1:
        return numbers(name, *shape) / np.prod(shape[1:]) ** 0.5
    return 0.2 * numbers(name, *shape) + (1.0 if name.endswith("weight") else 0.0)


def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what asks for 32 bits have 64: norms and the sines of time, in our code as in the reference's when it was recorded."""
    plain = torch.arange

    def arange(*ends: Any, **options: Any) -> Tensor:
        wide = {"dtype": torch.float64} if options.get("dtype") == torch.float32 else {}
        return plain(*ends, **options | wide)

    monkeypatch.setattr(torch, "arange", arange)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


def official(name: str) -> str:
    """The official name of our parameter ``name``."""
    for ours, theirs in POOL.items():
        if name.startswith(f"{ours}.") or name == ours:
            return theirs + name.removeprefix(ours)
    return ".".join(PARTS.get(part, part) for part in name.split("."))


def load_official(network: nn.Module, *, heads: Callable[[int], int] | None = None) -> list[str]:
    """Give ``network`` the weights that the reference had under the official names, and return these names, sorted.

    Args:
        network: one of our networks.
        heads: number of heads at a width, if query, key and value come head by head; None if they come in the new order, as
            those of a classifier's pool always do.
    """
    state, names = {}, []
    for name, value in network.state_dict().items():
        state[name] = weight(official(name), tuple(value.shape))
        names.append(official(name))
        if heads is not None and ".qkv." in name and not name.startswith("pool."):
            state[name] = from_legacy(state[name], heads(len(value) // 3))
    network.load_state_dict(state)
    network.eval()
    return sorted(names)


def from_legacy(rows: Tensor, heads: int) -> Tensor:
    """Sort rows of query, key and value from head by head to all queries, all keys, all values."""
    return rows.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)


def recorded(name: str) -> dict[str, Tensor]:
    """What the reference code returned."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype.kind != "U"}


def recorded_names(name: str, key: str) -> list[str]:
    """The names of the reference's parameters, sorted."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return str(file[key]).split()


def two_points(z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Noise in pixels near -1 and 1, with z_0 overestimated by a fifth, so that clipping matters, [B, C, H, W]."""
    return (z - alpha * 1.2 * (alpha * z / (0.1 * alpha**2 + sigma**2)).tanh()) / sigma


def two_points_logits(z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Logits [B, 3] of classes whose pixels are 1 with probability .2, .5, .8, with a gradient also where pixels are sure."""
    one = (2 * alpha * z / (0.1 * alpha**2 + sigma**2)).sigmoid().flatten(1)[:, None]  # [B, 1, pixels]
    share = torch.tensor([0.2, 0.5, 0.8])[:, None]
    return (share * one + (1 - share) * (1 - one)).log().sum(dim=2) - 2 * z.flatten(1).sum(
        dim=1, keepdim=True
    ) * share.T


def trajectory(module: SamplingModule, z: Tensor, batch: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Every z_t after z_T, [steps, B, C, H, W], by the module's own sampler; the noise of step k is ``numbers("noise k")``."""
    drawn = itertools.count()

    def noise(like: Tensor, _generator: Any) -> Tensor:
        return numbers(f"noise {next(drawn)}", *like.shape)

    for place in ("lightning_mmdiff.respaced", "lightning_mmdiff.schedules"):
        monkeypatch.setattr(f"{place}.noise_like", noise)
    scheduler, found = module.scheduler(batch), []
    scheduler.set_timesteps(module.sampler.num_steps)
    conditions = module.encode_conditions(batch["conditions"])
    for t in scheduler.timesteps:
        z = scheduler.step(module.predict_noise(z, t, conditions), t, z).prev_sample
        found.append(z)
    return torch.stack(found)


def sure_expert(z: Tensor, alpha: Tensor, sigma: Tensor, *, slope: float, level: Tensor | float) -> Tensor:
    """Noise of an expert whose z_0 is tanh(slope z + level), [B, C, H, W]; ``level`` is its condition, 0 for none."""
    return (z - alpha * (slope * z + level).tanh()) / sigma


class SureExpert(DiffusionModel):
    """An expert by ``sure_expert``; its condition, ``name``, is the level, float [B, 1]."""

    def __init__(
        self, name: str, slope: float, schedule: NoiseSchedule, shape: tuple[int, int, int], sampler: Sampler, *,
        latent: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(sampler=sampler, schedule=schedule, shape=shape, latent=latent)
        self.condition_names, self.slope = (name,), slope

    def encode(self, conditions: Conditions, batch_size: int) -> Encoded:
        return Encoded(embedding=conditions.get(self.condition_names[0], torch.zeros(batch_size, 1)))

    def predict_eps(self, z: Tensor, t: Tensor, encoded: Encoded) -> Tensor:
        level = encoded.embedding.view(-1, 1, 1, 1)
        return sure_expert(z, *self.schedule.coefficients(t, z), slope=self.slope, level=level)

    def clean(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        raise AssertionError("it is not trained")

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        raise AssertionError("it is not trained")


def sure_influence(z: Tensor, t: Tensor, *, slope: float, level: Tensor) -> Tensor:
    """Logits of a dynamic diffuser, which vary over space, time and conditions, [B, 1, H, W], for t [B]."""
    return slope * z.mean(dim=1, keepdim=True) + level * (0.5 + t.float() / 1000).view(-1, 1, 1, 1)
