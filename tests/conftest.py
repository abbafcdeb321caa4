"""Shared by all tests: two threads in all, files that stay together, GPU marks, and where real photographs may lie."""

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from warm import Warm, warm_process
from xdist.scheduler import LoadScopeScheduling

WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
torch.set_num_threads(max(1, 2 // WORKERS))
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: tests of Ctrl-C need it
    signal.signal(signal.SIGINT, signal.default_int_handler)


class ByFile(LoadScopeScheduling):
    """The tests of a file share a worker, and so their fixtures; all tests of SLURM share one."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return "slurm" if "slurm" in file.parts else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Divide tests so. ``--dist loadgroup`` does not group since pytest 9.2 (pytest-xdist 1386)."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests without a GPU."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs CUDA"))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tiny networks are faster so, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real photographs in the official layouts: $MMDIFF_DATA, or ``shared/data`` beside the checkout."""
    folder = Path(os.environ.get("MMDIFF_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "CelebAMask-HQ").is_dir():
        pytest.skip("no real photographs here; set MMDIFF_DATA to a folder that holds CelebAMask-HQ/")
    return folder


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """A process that starts table commands in milliseconds."""
    with warm_process() as warm:
        yield warm
