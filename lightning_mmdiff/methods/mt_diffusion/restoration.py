"""Restoring a masked image by MT-Diffusion (ICLR 2024, Sec. 4.1): what the mask shows is kept in every step."""

from dataclasses import dataclass

from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion
from lightning_mmdiff.methods.single import ready
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


@dataclass(frozen=True, kw_only=True)
class RestoreMasked(MethodConfig):
    """Sample from a model that knows a masked image, and keep what that shows."""

    model: ModelSource

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> MTDiffusion:
        """The model, keeping the known pixels in every step."""
        model = ready(trained, self.model, sampler, seed)
        assert isinstance(model, MTDiffusion)
        model.keep_known = True
        return model
