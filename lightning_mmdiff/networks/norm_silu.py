"""Group norm, modulation and SiLU in one step of autograd, which keeps its input alone for the backward pass.

Done one after the other, the three keep an activation each. Here the last two are computed again in the backward pass, by the
same kernels, so that results and gradients are the same to the last bit. Second derivatives are not implemented.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def norm_silu(h: Tensor, norm: nn.GroupNorm, modulation: Tensor | None = None) -> Tensor:
    """Return ``silu(GN(h) (1 + scale) + shift)``; the norm is computed in float32, the rest in the dtype of ``h``.

    Args:
        h: activations, [B, C, H, W].
        norm: group norm of C channels.
        modulation: scale, then shift, [B, 2C]; None is ``silu(GN(h))``.
    """
    factor = shift = None
    if modulation is not None:
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)  # [B, C, 1, 1] each
        factor = 1 + scale
    apply: Any = _NormSiLU.apply if torch.is_grad_enabled() else _forward
    return apply(h, norm.weight, norm.bias, factor, shift, norm.num_groups, norm.eps)[0]


def _layout(h: Tensor) -> torch.memory_format:
    """Return the order in memory in which the kernels of group norm read ``h``: on a GPU, always the plain one."""
    last = not h.is_cuda and h.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _inner(
    h: Tensor, weight: Tensor, bias: Tensor, factor: Tensor | None, shift: Tensor | None, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the argument of SiLU and the normalized activations, [B, C, H, W]; mean and 1 / deviation, [B, groups].

    Args: as of ``_NormSiLU.forward``.
    """
    batch, channels, height, width = h.shape
    normal, mean, inverse = torch.native_group_norm(
        h.float().contiguous(memory_format=_layout(h)), weight.float(), bias.float(),
        batch, channels, height * width, groups, eps,
    )  # fmt: skip
    normal = normal.to(h.dtype)
    inner = normal if factor is None or shift is None else torch.addcmul(shift, normal, factor)
    return inner, normal, mean, inverse


def _forward(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return SiLU of ``_inner``, mean and 1 / deviation."""
    inner, _, mean, inverse = _inner(*inputs)
    return F.silu(inner, inplace=True), mean, inverse


class _NormSiLU(torch.autograd.Function):
    """The three as one function of autograd."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Compute ``_forward`` of: h, weight, bias, factor, shift, number of groups, eps."""
        *tensors, ctx.groups, ctx.eps = inputs
        result, mean, inverse = _forward(*inputs)
        ctx.save_for_backward(*tensors, mean, inverse)
        ctx.mark_non_differentiable(mean, inverse)
        return result, mean, inverse

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of h, weight, bias, factor and shift."""
        h, weight, bias, factor, shift, mean, inverse = ctx.saved_tensors
        inner, normal, _, _ = _inner(h, weight, bias, factor, shift, ctx.groups, ctx.eps)
        gradient = torch.ops.aten.silu_backward(gradients[0], inner)
        of_factor = of_shift = None
        if factor is not None:
            of_shift = gradient.sum(dim=(2, 3), keepdim=True)
            of_factor = normal.mul_(gradient).sum(dim=(2, 3), keepdim=True)
            gradient = gradient.mul_(factor)
        batch, channels, height, width = h.shape
        wide = (x.float().contiguous(memory_format=_layout(h)) for x in (gradient, h))
        of_h, of_weight, of_bias = torch.ops.aten.native_group_norm_backward(
            *wide, mean, inverse, weight.float(), batch, channels, height * width, ctx.groups, list(ctx.needs_input_grad[:3])
        )  # fmt: skip
        found = (of_h, h), (of_weight, weight), (of_bias, bias)
        return *(None if g is None else g.to(of.dtype) for g, of in found), of_factor, of_shift, None, None
