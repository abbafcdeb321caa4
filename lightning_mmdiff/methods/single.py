"""Methods that take one model as it is, and those that sample nothing."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lightning import LightningModule
from torch import Tensor

from lightning_mmdiff.methods.config import ExpertUse, MethodConfig, Trained
from lightning_mmdiff.sampling import SamplingModule
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


def ready(trained: Trained, source: ModelSource, sampler: Sampler, seed: int) -> SamplingModule:
    """The model of ``source``, set to this sampler and seed."""
    model: SamplingModule = trained(source)
    model.sampler, model.sampling_seed = sampler, seed
    return model


@dataclass(frozen=True, kw_only=True)
class Denoise(MethodConfig):
    """Sample from one model under the conditions of the batch."""

    model: ModelSource

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> SamplingModule:
        """The model itself."""
        return ready(trained, self.model, sampler, seed)


@dataclass(frozen=True, kw_only=True)
class Classify(MethodConfig):
    """Judge a model on the test images; nothing is sampled."""

    makes_images: ClassVar[bool] = False
    takes_sampler: ClassVar[bool] = False
    model: ModelSource


@dataclass(frozen=True, kw_only=True)
class CountParameters(MethodConfig):
    """Read the configuration of the network of a model; nothing is trained, sampled or read from a data set."""

    makes_images: ClassVar[bool] = False
    takes_sampler: ClassVar[bool] = False
    reads_data: ClassVar[bool] = False
    expert: ExpertUse
    """Its conditions say which network is meant, where the model has several."""

    @property
    def needs(self) -> tuple[Any, ...]:
        """None: the architecture is enough."""
        return ()


@dataclass(frozen=True, kw_only=True)
class RealImages(MethodConfig):
    """The data set's own images: the ceiling of every metric. Training images stand where samples would be."""

    takes_sampler: ClassVar[bool] = False
    is_real: ClassVar[bool] = True
    of_edit: Literal["before", "target"] | None = None
    """In a table of edits: the images before any edit, or those whose conditions an edit is given."""

    def build(self, trained: Trained, *, sampler: Sampler | None, seed: int) -> LightningModule:
        """A module that hands on the images of a batch."""
        return _HandOn()

    @property
    def calls_per_step(self) -> int:
        """No network is asked."""
        return 0

    @property
    def is_unedited(self) -> bool:
        """Where they bound a table of edits from below."""
        return self.of_edit == "before"

    @property
    def target_shift(self) -> int:
        """As that of the edits."""
        return 0 if self.of_edit is None else 1


class _HandOn(LightningModule):
    def predict_step(self, batch: dict[str, Any], batch_idx: int = 0) -> Tensor:
        """Images of the batch, uint8 [B, 3, H, W]."""
        return batch["image"].cpu()
