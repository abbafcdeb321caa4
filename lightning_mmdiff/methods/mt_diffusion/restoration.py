"""Restoration of a masked image with MT-Diffusion (ICLR 2024, Sec. 4.1): the visible pixels are kept in every step."""

from dataclasses import dataclass

from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
from lightning_mmdiff.methods.single import ready
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


@dataclass(frozen=True, kw_only=True)
class RestoreMasked(MethodConfig):
    """Config for sampling from a model conditioned on a masked image while keeping its visible pixels."""

    model: ModelSource

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> MTDiffusion:
        """Return the model, set to keep the known pixels in every step."""
        model = ready(trained, self.model, sampler, seed)
        assert isinstance(model, MTDiffusion)
        model.keep_known = True
        return model
