"""Norm, modulation and SiLU as one step of autograd: the numbers of the three, with one activation kept."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightning_mmdiff.networks.blocks import GroupNorm, scale_shift
from lightning_mmdiff.networks.norm_silu import norm_silu

CASES = pytest.mark.parametrize(
    ("dtype", "modulated", "last"),
    [
        (torch.float32, False, False), (torch.float32, True, False), (torch.float32, True, True),
        (torch.bfloat16, True, False), (torch.bfloat16, False, True),
    ],
)  # fmt: skip


def inputs(dtype: torch.dtype = torch.float32, *, last: bool = False) -> tuple[Tensor, GroupNorm, Tensor]:
    """Activations, a norm and a modulation."""
    source = torch.Generator().manual_seed(0)
    norm = GroupNorm(4, 8)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter, generator=source)
    h, modulation = torch.randn(3, 8, 6, 6, generator=source), torch.randn(3, 16, generator=source)
    h = h.to(dtype, memory_format=torch.channels_last if last else torch.contiguous_format)
    return h.requires_grad_(), norm, modulation.to(dtype).requires_grad_()


def one_after_the_other(h: Tensor, norm: GroupNorm, modulation: Tensor | None) -> Tensor:
    return F.silu(norm(h) if modulation is None else scale_shift(norm(h), modulation))


@CASES
def test_results_and_gradients_are_those_of_the_three_bit_for_bit(dtype, modulated, last) -> None:
    h, norm, modulation = inputs(dtype, last=last)
    leaves = [h, *norm.parameters(), *([modulation] if modulated else [])]
    upstream = torch.empty_like(h).normal_(generator=torch.Generator().manual_seed(1))
    found = []
    for apply in (norm_silu, one_after_the_other):
        out = apply(h, norm, modulation if modulated else None)
        found.append([out, *torch.autograd.grad(out, leaves, upstream)])
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype
        assert a.stride() == b.stride()
        assert torch.equal(a, b)
    with torch.no_grad():
        assert torch.equal(norm_silu(h, norm, modulation if modulated else None), found[1][0])


def test_gradients_are_those_of_finite_differences() -> None:
    norm = torch.nn.GroupNorm(2, 4)
    h, modulation = torch.randn(2, 4, 2, 3), torch.randn(2, 8)

    def of(h: Tensor, modulation: Tensor) -> float:
        return norm_silu(h, norm, modulation).double().sum().item()

    leaves = [h.requires_grad_(), modulation.requires_grad_()]
    gradients = torch.autograd.grad(norm_silu(h, norm, modulation).sum(), leaves)
    with torch.no_grad():
        for number, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
            step = torch.randn(leaf.shape) * 1e-2
            ends = [[v + sign * step if i == number else v for i, v in enumerate(leaves)] for sign in (1, -1)]
            slope = (of(*ends[0]) - of(*ends[1])) / 2
            assert slope == pytest.approx((gradient * step).sum().item(), rel=1e-2, abs=1e-4)


def test_only_the_input_is_kept_and_frozen_weights_get_no_gradient() -> None:
    h, norm, modulation = inputs()
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = norm_silu(h, norm.requires_grad_(False), modulation)
    assert [tensor.shape for tensor in kept.values()].count(h.shape) == 1
    out.sum().backward()
    assert norm.weight.grad is None
    assert h.grad is not None


def test_a_second_derivative_is_refused() -> None:
    h, norm, modulation = inputs()
    (gradient,) = torch.autograd.grad(norm_silu(h, norm, modulation).square().sum(), h, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented|does not require grad"):
        gradient.sum().backward()
