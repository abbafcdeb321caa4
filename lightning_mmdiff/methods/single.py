"""Methods that use a single model unchanged, and those that sample nothing."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lightning import LightningModule
from torch import Tensor

from lightning_mmdiff.methods.config import ExpertUse, MethodConfig, Trained
from lightning_mmdiff.sampling import SamplingModule
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


def ready(trained: Trained, source: ModelSource, sampler: Sampler, seed: int) -> SamplingModule:
    """Return the model of ``source`` with this sampler and seed.

    Args:
        trained: returns the model of each source.
        source: training run or released checkpoint.
        sampler: steps from z_T to z_0.
        seed: image i depends only on this seed and i.
    """
    model: SamplingModule = trained(source)
    model.sampler, model.sampling_seed = sampler, seed
    return model


@dataclass(frozen=True, kw_only=True)
class Denoise(MethodConfig):
    """Config for sampling from one model under the batch's conditions."""

    model: ModelSource

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> SamplingModule:
        """Return the model itself."""
        return ready(trained, self.model, sampler, seed)


@dataclass(frozen=True, kw_only=True)
class Classify(MethodConfig):
    """Config for evaluating a model on the test images; nothing is sampled."""

    makes_images: ClassVar[bool] = False
    takes_sampler: ClassVar[bool] = False
    model: ModelSource


@dataclass(frozen=True, kw_only=True)
class CountParameters(MethodConfig):
    """Config for counting a network's parameters from its configuration; nothing is trained, sampled or read from a data set."""

    makes_images: ClassVar[bool] = False
    takes_sampler: ClassVar[bool] = False
    reads_data: ClassVar[bool] = False
    expert: ExpertUse
    """Model whose network is counted; its conditions select the network if the model has several."""

    @property
    def needs(self) -> tuple[Any, ...]:
        """No sources: the architecture is enough."""
        return ()


@dataclass(frozen=True, kw_only=True)
class RealImages(MethodConfig):
    """Config for the data set's own images, the upper bound of every metric. Training images take the place of samples."""

    takes_sampler: ClassVar[bool] = False
    is_real: ClassVar[bool] = True
    of_edit: Literal["before", "target"] | None = None
    """In a table of edits: the images before any edit, or those whose conditions are an edit's target."""

    def build(self, trained: Trained, *, sampler: Sampler | None, seed: int) -> LightningModule:
        """Build a module that returns the images of a batch."""
        return _HandOn()

    @property
    def is_unedited(self) -> bool:
        """Whether the images are the lower bound of a table of edits."""
        return self.of_edit == "before"

    @property
    def target_shift(self) -> int:
        """Same offset as for the edits."""
        return 0 if self.of_edit is None else 1


class _HandOn(LightningModule):
    def predict_step(self, batch: dict[str, Any], batch_idx: int = 0) -> Tensor:
        """Return the images of the batch, uint8 [B, 3, H, W]."""
        return batch["image"].cpu()
