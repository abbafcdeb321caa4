"""Sums and batch norms over the batch that several processes share, so that they train as one process would.

PyTorch's ``SyncBatchNorm`` exists for GPUs alone, where a trainer puts it in the place of these norms.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def is_shared() -> bool:
    """Return whether this process is one of several that train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class _Total(torch.autograd.Function):
    """Sum over processes. Every process's loss depends on every process's part, so gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        total = part.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Total.forward(ctx, gradients[0])


def total(part: Tensor) -> Tensor:
    """Return the sum of ``part``, any shape, over the processes that share a batch."""
    return _Total.apply(part) if is_shared() else part


def gathered(rows: Tensor) -> Tensor:
    """Return the rows of all processes that share a batch, [B, ...], in the order that one process has them; no gradient."""
    if not is_shared():
        return rows
    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.detach().contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of the whole batch; for one process it is PyTorch's own."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized x [B, C, h, w]."""
        if not (self.training and is_shared()):
            return super().forward(x)
        deviations, mean, variance, count = centered(x)
        if self.track_running_stats:
            self._follow(mean, variance * count / (count - 1))
        return scaled(deviations, variance + self.eps, self.weight, self.bias).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics; without a momentum they are plain averages."""
        number: Any = self.num_batches_tracked
        number.add_(1)
        share = 1 / number.item() if self.momentum is None else self.momentum
        for old, new in ((self.running_mean, mean), (self.running_var, variance)):
            assert old is not None
            old.lerp_(new.to(old), share)


def centered(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x minus the mean of the whole batch, [B, C, h, w], that mean [C], the variance [C] and the number of pixels."""
    x = x if x.dtype == torch.float64 else x.float()
    count = total(x.new_tensor(x.numel() / x.shape[1]))
    mean = total(x.sum(dim=(0, 2, 3))) / count
    deviations = x - mean[:, None, None]
    return deviations, mean, total(deviations.square().sum(dim=(0, 2, 3))) / count, count


def scaled(x: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return x over the root of its variance, times ``weight``, plus ``bias``.

    Args:
        x: [B, C, h, w] without its mean.
        variance: above 0, [C].
        weight: [C]; None multiplies by 1.
        bias: [C]; None adds nothing.
    """
    scale = variance.rsqrt() if weight is None else variance.rsqrt() * weight
    x = x * scale[:, None, None]
    return x if bias is None else x + bias[:, None, None]
