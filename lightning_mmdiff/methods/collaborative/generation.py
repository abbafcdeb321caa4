"""Generation by collaborating experts (Collaborative Diffusion, CVPR 2023, Algorithm 2), as a method of a sample run."""

from dataclasses import dataclass
from typing import ClassVar

from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.collaborative.model import Collaborative
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.methods.single import ready
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


@dataclass(frozen=True, kw_only=True)
class Collaborate(MethodConfig):
    """Config for experts that collaborate under the influence of their dynamic diffusers."""

    has_influence: ClassVar[bool] = True
    model: ModelSource
    influence: InfluenceConfig = InfluenceConfig()

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> Collaborative:
        """Build the dynamic diffusers over their experts."""
        model = ready(trained, self.model, sampler, seed)
        assert isinstance(model, Collaborative)
        model.influence_config = self.influence
        return model
