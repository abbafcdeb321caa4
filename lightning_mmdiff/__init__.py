"""Reproduce, compare and extend multi-modal diffusion models.

``lightning_mmdiff.load("runs/mini/hair-expert")`` returns a trained model; ``UniteAndConquer``, ``Collaborative`` and
``MTDiffusion`` combine modalities. Names are imported when they are asked for, so that importing the package takes no PyTorch.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_mmdiff.loading import load
    from lightning_mmdiff.methods.collaborative.model import Collaborative
    from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
    from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
    from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
    from lightning_mmdiff.schedules import Sampler

if sys.platform == "win32":
    raise ImportError(
        "lightning_mmdiff runs on Linux and macOS; on Windows, install and run it inside WSL (wsl --install)."
    )

__version__ = "0.1.0"
__all__ = [
    "Collaborative", "Denoiser", "DenoiserConfig", "Expert", "MTDiffusion", "Sampler", "UniteAndConquer", "load",
]  # fmt: skip
PLACES = {
    "load": "loading",
    "Collaborative": "methods.collaborative.model",
    "MTDiffusion": "methods.mt_diffusion.model",
    "Expert": "methods.unite_and_conquer",
    "UniteAndConquer": "methods.unite_and_conquer",
    "Denoiser": "models.denoiser",
    "DenoiserConfig": "models.denoiser",
    "Sampler": "schedules",
}
"""Top-level name -> module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
