"""Energy used by GPUs, as counted by their driver (NVML, ``nvmlDeviceGetTotalEnergyConsumption``)."""

import ctypes
import os
from collections.abc import Iterator
from typing import Any

from lightning_mmdiff.runtime.processes import environment_number

SUCCESS = 0  # NVML's return code
MILLIJOULES_PER_WATT_HOUR = 3_600_000


def gpu_energy_wh(nvml: Any = None) -> float | None:
    """Return the watt hours used by this node's visible GPUs since their driver was loaded; take the difference of two calls.

    Args:
        nvml: the driver's library; None loads it.

    Returns:
        None without a GPU or driver, or if one does not count energy (before Volta, or a slice of a GPU); also in a job on
        several nodes, since a process sees only one.
    """
    if environment_number("SLURM_JOB_NUM_NODES", 1) > 1:
        return None
    try:
        nvml = nvml or ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    if nvml.nvmlInit_v2() != SUCCESS:
        return None
    try:
        counts = [_millijoules(nvml, device) for device in _devices(nvml)]
    finally:
        nvml.nvmlShutdown()
    known = [count for count in counts if count is not None]
    return sum(known) / MILLIJOULES_PER_WATT_HOUR if known and len(known) == len(counts) else None


def _devices(nvml: Any) -> Iterator[ctypes.c_void_p | None]:
    """Yield the GPUs of ``CUDA_VISIBLE_DEVICES``, by number or UUID, or all GPUs; yield None for one that is not found."""
    visible, count = os.environ.get("CUDA_VISIBLE_DEVICES"), ctypes.c_uint()
    if visible is None:
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    names = [str(i) for i in range(count.value)] if visible is None else [n for n in visible.split(",") if n]
    for name in names:
        device = ctypes.c_void_p()
        if name.isdigit():
            code = nvml.nvmlDeviceGetHandleByIndex_v2(int(name), ctypes.byref(device))
        else:
            code = nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(device))
        yield device if code == SUCCESS else None


def _millijoules(nvml: Any, device: ctypes.c_void_p | None) -> int | None:
    energy = ctypes.c_ulonglong()
    if device is None or nvml.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy)) != SUCCESS:
        return None
    return energy.value
