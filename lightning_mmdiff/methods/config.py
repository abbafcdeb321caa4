"""What the config of a sampling method knows: the models it asks, what it costs, and how it is built over them."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from lightning import LightningModule

from lightning_mmdiff.configs import Config
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

Trained = Callable[[ModelSource], Any]
"""Returns the trained model of a source, frozen; the same one for the same source."""


@dataclass(frozen=True, kw_only=True)
class ExpertUse(Config):
    """A trained model and those of its conditions it is asked about, with its place in Eq. 10 of Unite and Conquer."""

    run: ModelSource
    conditions: tuple[str, ...]
    weight: float = 1.0
    reliability: float | None = None
    """None is 1 / N."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("weight")


@dataclass(frozen=True, kw_only=True)
class MethodConfig(Config):
    """Base of the ways to make images (or to judge a model). A new way is a subclass with its ``build``; rows hold it."""

    makes_images: ClassVar[bool] = True
    """Whether there are images to sample, store and show."""
    takes_sampler: ClassVar[bool] = True
    """Whether images are made in the steps of a sampler."""
    trains: ClassVar[bool] = False
    """Whether an image takes trainings of its own: it is then made outside Lightning's predict loop."""
    reads_data: ClassVar[bool] = True
    """Whether a data set is needed at all."""
    is_real: ClassVar[bool] = False
    """Whether the images are those of the data set: the ceiling of every metric."""
    has_influence: ClassVar[bool] = False
    """Whether the module can record the influence of its experts (``sample_with_influence``)."""

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> LightningModule:
        """Module whose ``predict_step`` makes the images of a batch, uint8 [B, 3, H, W].

        Args:
            trained: gives the model of each source.
            sampler: steps from z_T to z_0.
            seed: image i depends on it and on i alone.
        """
        raise AssertionError(f"{type(self).__name__} makes no images")

    @property
    def uses(self) -> tuple[ExpertUse, ...]:
        """The experts and what each is asked about."""
        return tuple(value for value in _leaves(self) if isinstance(value, ExpertUse))

    @property
    def needs(self) -> tuple[Any, ...]:
        """The sources of all models that are asked, each once."""
        found = (value.run if isinstance(value, ExpertUse) else value for value in _leaves(self))
        return tuple(dict.fromkeys(source for source in found if isinstance(source, ModelSource)))

    @property
    def calls_per_step(self) -> int:
        """Evaluations of a diffusion network for one image in one step of the sampler."""
        return 1

    @property
    def is_unedited(self) -> bool:
        """Whether the images are those of an edit before it."""
        return False

    @property
    def target_shift(self) -> int:
        """Image i is given the conditions of test image i + this."""
        return 0


def _leaves(value: Any) -> Iterator[Any]:
    """Experts, sources and plain values in the fields of ``value``, through tuples and methods around methods."""
    if isinstance(value, MethodConfig):
        for field in dataclasses.fields(value):
            yield from _leaves(getattr(value, field.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
