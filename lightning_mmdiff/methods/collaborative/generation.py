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

    @property
    def calls_per_step(self) -> int:
        """Experts, guided ones twice, and dynamic diffusers; without temporal influence the experts make each image twice."""
        experts = len(self.model.experts)
        diffusers = self.model.calls_per_step - experts
        asked = experts if self.influence.guidance == 1 else 2 * experts
        return diffusers + (asked if self.influence.temporal else 2 * asked)
