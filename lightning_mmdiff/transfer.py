"""Copies to a device that do not wait for it. Timesteps, coefficients and noise are made on the CPU and moved by these."""

import torch
from torch import Tensor


def moved(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """Return ``tensor`` on ``device``; only a copy to the CPU, whose values are read next, waits for the work before it.

    Args:
        tensor: any tensor.
        device: device of the result.
        dtype: dtype of the result; None keeps it.
    """
    device = torch.device(device)
    if dtype is not None and tensor.device.type == "cpu":
        tensor = tensor.to(dtype)
    return tensor.to(device=device, dtype=dtype, non_blocking=device.type != "cpu")
