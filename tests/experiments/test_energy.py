"""The energy counter against a stand-in for NVIDIA's library; no GPU of ours has been asked."""

import sys

import pytest

from experiments.core.energy import gpu_energy_wh


class Trouble(Exception):
    """What the driver says by a return code."""


class Driver:
    """Two GPUs that have used 2 and 3 Wh; the second has a name."""

    NVMLError = Trouble
    used = {"first": 7_200_000, "second": 10_800_000}
    opened = 0

    def nvmlInit(self):
        self.opened += 1

    def nvmlShutdown(self):
        self.opened -= 1

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, number):
        if number > 1:
            raise Trouble("invalid argument")
        return ("first", "second")[number]

    def nvmlDeviceGetHandleByUUID(self, name):
        if name != "GPU-b":
            raise Trouble("not found")
        return "second"

    def nvmlDeviceGetTotalEnergyConsumption(self, device):
        return self.used[device]


class OldDriver(Driver):
    """Does not count."""

    def nvmlDeviceGetTotalEnergyConsumption(self, device):
        raise Trouble("not supported")


class NoDriver(Driver):
    """Is not installed."""

    def nvmlInit(self):
        raise Trouble("library not found")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, 5.0), ("1", 3.0), ("0,1", 5.0), ("GPU-b", 3.0), ("", None), ("7", None), ("0,GPU-z", None)],
)
def test_visible_gpus_are_added_up(visible, expected, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    driver = Driver()
    assert gpu_energy_wh(driver) == expected
    assert driver.opened == 0


def test_one_node_of_several_says_nothing(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    assert gpu_energy_wh(Driver()) is None


def test_a_driver_that_does_not_count(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu_energy_wh(OldDriver()) is None


def test_no_driver_and_no_package(monkeypatch):
    assert gpu_energy_wh(NoDriver()) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_energy_wh() is None


def test_nvidias_package_has_what_the_driver_is_asked():
    """Without a GPU it says so by its own error."""
    pynvml = pytest.importorskip("pynvml")
    for name in (name for name in vars(Driver) if name.startswith("nvml")):
        assert callable(getattr(pynvml, name))
    assert issubclass(pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError)
    assert gpu_energy_wh(pynvml) is None or gpu_energy_wh(pynvml) > 0
