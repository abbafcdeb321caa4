"""Memory and operations of a network, traced on the meta device: every layer runs, on tensors without values.

``Autocast`` does what mixed precision does there, where PyTorch's own has no rules for tensors without a device, and takes
attention as one fused kernel, as GPUs do.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.flop_counter import FlopCounterMode

from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.networks.unet import UNetConfig


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What one call takes; bytes are of the largest moment, without the weights in 32-bit."""

    bytes: int
    """Those of all rows, and in training of the gradients; in mixed precision also of the weights in 16-bit."""
    flops: int
    """Floating-point operations of the forward pass of all rows; a multiplication and an addition are two."""


class LiveBytes(TorchDispatchMode):
    """Counter of the bytes of all tensors that were made inside and still exist, and of the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count the memory of its results."""
        results = func(*args, **(kwargs or {}))
        for tensor in tree_iter(results):
            if isinstance(tensor, Tensor) and tensor.device.type == "meta":
                self._add(tensor.untyped_storage())
        return results

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


class _Fused(torch.autograd.Function):
    """Attention that keeps queries, keys, values and results, but no matrix of all pairs."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # noqa: D102
        out = q.new_empty(*q.shape[:-1], v.shape[-1])
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # noqa: D102
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])


class Autocast:
    """Inside, attention is fused and, if ``mixed``, layers have the casts of mixed precision; weights are cast once.

    It replaces functions of ``torch.nn.functional``: modes are not asked when a backward pass computes activations again.
    """

    def __init__(self, *, mixed: bool) -> None:
        self.mixed, self.attention_flops = mixed, 0
        self._cast: dict[int, Tensor] = {}
        self._before = {
            name: getattr(F, name) for name in ("linear", "conv1d", "conv2d", "scaled_dot_product_attention")
        }

    def __enter__(self) -> "Autocast":
        for name in ("linear", "conv1d", "conv2d"):
            setattr(F, name, partial(self._layer, self._before[name]))
        F.scaled_dot_product_attention = self._attend  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        for name, function in self._before.items():
            setattr(F, name, function)

    def _layer(self, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        return function(*tree_map(self._half, args), **tree_map(self._half, kwargs))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return attention as one kernel; masks and dropout change no size."""
        q, k, v = (self._half(each) for each in (query, key, value))
        self.attention_flops += 2 * q.numel() * k.shape[-2] + 2 * q.shape[:-1].numel() * k.shape[-2] * v.shape[-1]
        return _Fused.apply(q, k, v)

    def _half(self, value: Any) -> Any:
        if not self.mixed or not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not isinstance(value, torch.nn.Parameter):
            return value.to(torch.bfloat16)
        if id(value) not in self._cast:
            self._cast[id(value)] = value.to(torch.bfloat16)
        return self._cast[id(value)]


@cache
def traced(network: NetworkConfig, side: int, rows: int, *, training: bool, mixed: bool, tokens: int = 1) -> Trace:
    """Trace a call of a network.

    Args:
        network: config of the U-Net.
        side: height and width of its input.
        rows: number of rows; the time does not depend on it.
        training: whether there is a backward pass.
        mixed: whether in 16-bit mixed precision.
        tokens: number of condition tokens of a network with cross-attention.
    """
    with torch.device("meta"):
        module = network.build().train(training)
    most, flops = call(lambda: module(*inputs(network, side, rows, tokens)), training=training, mixed=mixed)
    return Trace(bytes=most, flops=flops)


def inputs(network: NetworkConfig, side: int, rows: int, tokens: int) -> tuple[Any, ...]:
    """Return inputs of a network on the meta device.

    Args:
        network: config of the U-Net.
        side: height and width.
        rows: number of rows.
        tokens: number of condition tokens of a network with cross-attention.
    """
    with torch.device("meta"):
        z, t = torch.empty(rows, network.in_channels, side, side), torch.zeros(rows, dtype=torch.int64)
        if not isinstance(network, UNetConfig):
            return z, t, torch.empty(rows, tokens, network.context_dim)
        embedding = torch.empty(rows, network.embedding_dim) if network.embedding_dim else None
        embedding = torch.empty(rows, tokens, network.context_dim) if network.context_dim else embedding
        labels = torch.zeros(rows, dtype=torch.int64) if network.num_classes else None
        return z, t, embedding, labels


def call(compute: Callable[[], Tensor], *, training: bool, mixed: bool) -> tuple[int, int]:
    """Return the most bytes that exist at once during a call (and its backward pass), and the forward pass's FLOPs.

    Args:
        compute: the call, on the meta device.
        training: whether a backward pass follows; the gradients stay.
        mixed: as in ``traced``.
    """
    live, flops, casts = LiveBytes(), FlopCounterMode(display=False), Autocast(mixed=mixed)
    with live, casts, torch.set_grad_enabled(training):  # recomputed activations are cast again
        with flops:
            result = compute()
        if training:
            torch.autograd.backward(result.float().square().mean())
    return live.most, flops.get_total_flops() + casts.attention_flops
