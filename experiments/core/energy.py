"""Energy used by GPUs, as counted by their driver (NVML, by NVIDIA's own Python package)."""

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from lightning_mmdiff.runtime.processes import environment_number

MILLIJOULES_PER_WATT_HOUR = 3_600_000


def gpu_energy_wh(nvml: Any = None) -> float | None:
    """Return the watt hours used by this node's visible GPUs since their driver was loaded; take the difference of two calls.

    Args:
        nvml: NVIDIA's module pynvml; None imports it.

    Returns:
        None without a GPU or driver, or if one does not count energy (before Volta, or a slice of a GPU); also in a job on
        several nodes, since a process sees only one.
    """
    if environment_number("SLURM_JOB_NUM_NODES", 1) > 1:
        return None
    if nvml is None:
        try:
            nvml = import_module("pynvml")
        except ImportError:  # nobody asks for energy where there is no GPU
            return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        used = [nvml.nvmlDeviceGetTotalEnergyConsumption(device) for device in _devices(nvml)]
    except nvml.NVMLError:
        return None
    finally:
        nvml.nvmlShutdown()
    return sum(used) / MILLIJOULES_PER_WATT_HOUR if used else None


def _devices(nvml: Any) -> Iterator[Any]:
    """Yield the GPUs of ``CUDA_VISIBLE_DEVICES``, by number or UUID, or all GPUs."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(nvml.nvmlDeviceGetCount())) if visible is None else filter(None, visible.split(","))
    for name in names:
        yield nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdigit() else nvml.nvmlDeviceGetHandleByUUID(name)
