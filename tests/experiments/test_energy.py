"""The energy counter against a stand-in for NVIDIA's library; no GPU of ours has been asked."""

import ctypes

import pytest

from experiments.core.energy import gpu_energy_wh


class Driver:
    """Two GPUs that have used 2 and 3 Wh; the second has a name."""

    used = {0: 7_200_000, 1: 10_800_000}

    def nvmlInit_v2(self):
        return 0

    def nvmlShutdown(self):
        return 0

    def nvmlDeviceGetCount_v2(self, count):
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number, device):
        device._obj.value = number + 100
        return 0 if number in self.used else 2

    def nvmlDeviceGetHandleByUUID(self, name, device):
        device._obj.value = 101
        return 0 if name == b"GPU-b" else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, device, energy):
        assert isinstance(energy._obj, ctypes.c_ulonglong)
        energy._obj.value = self.used[device.value - 100]
        return 0


class OldDriver(Driver):
    """Does not count."""

    def nvmlDeviceGetTotalEnergyConsumption(self, device, energy):
        return 3


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, 5.0), ("1", 3.0), ("0,1", 5.0), ("GPU-b", 3.0), ("", None), ("7", None), ("0,GPU-z", None)],
)
def test_visible_gpus_are_added_up(visible, expected, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_energy_wh(Driver()) == expected


def test_one_node_of_several_says_nothing(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    assert gpu_energy_wh(Driver()) is None


def test_a_driver_that_does_not_count(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu_energy_wh(OldDriver()) is None


def test_no_driver(monkeypatch):
    def absent(_name):
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert gpu_energy_wh() is None
