"""The config base of sampling methods: the models a method uses, its cost, and how to build it."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from lightning import LightningModule

from lightning_mmdiff.configs import Config
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

Trained = Callable[[ModelSource], Any]
"""Function that returns the trained, frozen model of a source; always the same model for the same source."""


@dataclass(frozen=True, kw_only=True)
class ExpertUse(Config):
    """A trained model and the conditions given to it, with its coefficients in Eq. 10 of Unite and Conquer."""

    run: ModelSource
    conditions: tuple[str, ...]
    """Names of the model's conditions. "text@full_caption" fills the model's "text" with the batch's "full_caption"."""
    weight: float = 1.0
    reliability: float | None = None
    """a_i; None is 1 / N."""
    null: tuple[str, ...] = ()
    """Conditions of the unconditional prediction, for a model that learned none; () is the model's own null."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("weight")


@dataclass(frozen=True, kw_only=True)
class Preparation(Config):
    """A training that each image needs, done once for all runs whose preparation has the same name."""

    name: str
    """Folder below that of all runs."""
    models: tuple[ModelSource, ...]
    """Models whose networks are tuned to the image, each in a copy."""
    steps: int
    """Number of optimizer steps of each model."""
    batch_size: int
    """Number of draws of timestep and noise per step."""
    keeps_networks: bool
    """Whether the tuned networks stay on disk; otherwise only those of the image in work are there."""

    @property
    def draws(self) -> int:
        """Number of noised images per image, each with a backward pass."""
        return len(self.models) * self.steps * self.batch_size


@dataclass(frozen=True, kw_only=True)
class MethodConfig(Config):
    """Base of the ways to make images (or to evaluate a model). A new one is a subclass with ``build``; table rows hold it."""

    makes_images: ClassVar[bool] = True
    """Whether there are images to sample, store and show."""
    takes_sampler: ClassVar[bool] = True
    """Whether images are made by the steps of a sampler."""
    reads_data: ClassVar[bool] = True
    """Whether the method needs a data set."""
    is_real: ClassVar[bool] = False
    """Whether the images are the data set's own: the upper bound of every metric."""
    has_influence: ClassVar[bool] = False
    """Whether the module can record its experts' influence (``sample_with_influence``)."""

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> LightningModule:
        """Build the module whose ``predict_step`` makes the images of a batch, uint8 [B, 3, H, W].

        Args:
            trained: returns the model of each source.
            sampler: steps from z_T to z_0.
            seed: image i depends only on this seed and i.
        """
        raise AssertionError(f"{type(self).__name__} makes no images")

    @property
    def uses(self) -> tuple[ExpertUse, ...]:
        """The experts and the conditions given to each."""
        return tuple(value for value in _leaves(self) if isinstance(value, ExpertUse))

    @property
    def needs(self) -> tuple[Any, ...]:
        """The distinct sources of all models that the method uses."""
        found = (value.run if isinstance(value, ExpertUse) else value for value in _leaves(self))
        return tuple(dict.fromkeys(source for source in found if isinstance(source, ModelSource)))

    @property
    def trained_to_combine(self) -> tuple[Any, ...]:
        """The models trained for this way to combine: none of its own if several experts are used as they are."""
        return () if len(self.uses) > 1 else self.needs

    @property
    def calls_per_step(self) -> int:
        """Number of diffusion network evaluations per image and sampler step; by default, each model is asked once."""
        return sum(source.calls_per_step for source in self.needs)

    def calls(self, num_steps: int) -> int:
        """Return the number of diffusion network evaluations per image, at most, in ``num_steps`` of the run's sampler."""
        return num_steps * self.calls_per_step

    @property
    def preparation(self) -> Preparation | None:
        """The training that each image needs before it is made, outside Lightning's predict loop; None if there is none."""
        return None

    @property
    def is_unedited(self) -> bool:
        """Whether the images are those before an edit."""
        return False

    @property
    def target_shift(self) -> int:
        """Offset k such that image i receives the conditions of test image i + k."""
        return 0


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the experts, sources and plain values in the fields of ``value``, descending into tuples and nested methods."""
    if isinstance(value, MethodConfig):
        for field in dataclasses.fields(value):
            yield from _leaves(getattr(value, field.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
