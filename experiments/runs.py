"""Runs, the work that is done once and kept in a folder: a training or a set of samples. Every run is a frozen value."""

from dataclasses import dataclass
from typing import Literal

from datamodules.config import DataConfig
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import HELPERS, ModelSource

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Names of ``lightning.Trainer``."""


@dataclass(frozen=True, kw_only=True)
class TrainerConfig(Config):
    """Length of a training and its hardware; field names follow ``lightning.Trainer`` where it has them."""

    max_steps: int
    """Number of optimizer steps."""
    precision: Precision = "32-true"
    devices: int = 1
    num_nodes: int = 1
    gradient_clip_val: float | None = None
    ema_decay: float | None = None
    """Weight of the old average at each step; None keeps the last weights."""
    checkpoint_every: int
    """Number of optimizer steps between checkpoints."""
    validate_every: int = 100
    """Number of optimizer steps between measurements of the loss on held-out images; the last step has one too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "max_steps")  # Lightning's -1 never ends; recipes start from 0
        self._at_least(1, "devices", "num_nodes", "checkpoint_every", "validate_every")
        self._positive("gradient_clip_val")
        self._decays("ema_decay")


@dataclass(frozen=True, kw_only=True)
class TrainRun(Config, ModelSource):
    """One model: its architecture, training data, training length and frozen helper models."""

    name: str
    model: ModelConfig
    """Model config; its ``roles`` name the helpers below that it takes."""
    data: tuple[DataConfig, ...]
    """One data set, or several (see ``regime``)."""
    regime: Literal["combined", "fine_tuning", "mixed"] = "combined"
    """Combined: data sets alternate by step. Fine-tuning: the first until ``switch_step``, then the second. Mixed: every batch
    has the same number of images of each."""
    switch_step: int | None = None
    batch_size: int
    """Number of images per optimizer step, over all devices."""
    trainer: TrainerConfig
    embedder: ModelSource | None = None
    """Frozen image-text model that provides the embeddings to condition on."""
    autoencoder: ModelSource | None = None
    """Frozen autoencoder whose latents are diffused."""
    decoder: ModelSource | None = None
    """Frozen generator of images whose styles an encoder learns to give."""
    experts: tuple[ModelSource, ...] = ()
    """Frozen diffusion models that are combined, in order."""
    initial: ModelSource | None = None
    """Source of the initial weights (fine-tuning); None starts from scratch."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "batch_size")
        devices = self.trainer.devices * self.trainer.num_nodes
        if self.batch_size % devices:
            raise UserError(f"{self.name} has batch_size {self.batch_size}, which {devices} devices cannot share.")
        roles = self.model.roles()
        missing = [role for role, needed in roles.items() if needed and not getattr(self, role)]
        unknown = [role for role in HELPERS if getattr(self, role) and role not in roles]
        if missing or unknown:
            kind = type(self.model).__name__
            raise UserError(
                f"{self.name}: {kind} takes {', '.join(roles) or 'no helper'}; "
                + " and ".join([f"{role} is missing" for role in missing] + [f"{role} is given" for role in unknown])
                + "."
            )

    def check(self) -> None:
        """Raise UserError if data, model and regime do not fit together in a way that nothing else would notice.

        This runs when a plan is made, not in the constructor: recipes derive small runs from published ones in several steps.
        """
        found = f"{self.name} has max_steps={self.trainer.max_steps}, {len(self.data)} data sets, regime={self.regime!r} and "
        found += f"switch_step={self.switch_step}; "
        if self.trainer.max_steps < 1 or not self.data:
            raise UserError(f"{found}expected at least one step and one data set.")
        if (self.regime == "fine_tuning") != (self.switch_step is not None):
            raise UserError(f"{found}fine-tuning and a switch_step need each other.")
        if self.switch_step and (len(self.data) != 2 or not 1 <= self.switch_step < self.trainer.max_steps):
            raise UserError(f"{found}expected two data sets, and a switch before the last step.")
        if self.regime == "mixed" and (self.batch_size % len(self.data) or len({d.conditions for d in self.data}) > 1):
            raise UserError(
                f"{found}each needs the same conditions, and the same share of the {self.batch_size} images of a batch."
            )
        sizes = {data.image_size for data in self.data}
        if self.model.pixels is not None and sizes != {self.model.pixels}:
            raise UserError(f"{self.name} is a model of {self.model.pixels} pixels; its data have {sorted(sizes)}.")
        given = {name for data in self.data for name in data.conditions}
        if missing := [name for name in self.model.required_conditions if name not in given]:
            raise UserError(
                f"{self.name} is conditioned on {missing}, but its data give {sorted(given)}: it would learn without; request "
                "them from the data."
            )
        for name, size in self.model.condition_sizes.items():
            if wrong := {data.size_of(name) for data in self.data if name in data.conditions} - {size}:
                raise UserError(
                    f"{self.name} reads {name} at {size} pixels; its data give {sorted(wrong)}: set their label_size to {size}."
                )

    @property
    def rows(self) -> int:
        """Number of images per optimizer step on each device."""
        return self.batch_size // (self.trainer.devices * self.trainer.num_nodes)

    @property
    def helpers(self) -> dict[str, ModelSource | tuple[ModelSource, ...]]:
        """The frozen models that this one is built on, by role."""
        return {role: value for role in HELPERS if (value := getattr(self, role))}

    @property
    def sources(self) -> tuple[ModelSource, ...]:
        """Helpers and ``initial``, each once, in the order of their roles."""
        return tuple(
            dict.fromkeys(s for s in (self.embedder, self.autoencoder, self.decoder, *self.experts, self.initial) if s)
        )

    @property
    def calls_per_step(self) -> int:
        """Number of diffusion network evaluations per image and sampler step, those of all experts included."""
        return self.model.calls_per_step

    @property
    def is_latent(self) -> bool:
        """Whether the model, or one that it combines, diffuses the latents of an autoencoder."""
        experts = (expert for expert in self.experts if isinstance(expert, TrainRun))
        return self.autoencoder is not None or any(expert.is_latent for expert in experts)

    @property
    def needs(self) -> tuple["TrainRun", ...]:
        """Models that must be trained first."""
        return tuple(source for source in self.sources if isinstance(source, TrainRun))


@dataclass(frozen=True, kw_only=True)
class SampleRun(Config):
    """One folder of images: the experts, how they are combined, and the test images that provide the conditions."""

    name: str
    method: MethodConfig
    data: DataConfig
    """Data set whose test split provides the conditions and the reference of the metrics."""
    num_images: int
    shard_size: int = 64
    """Number of images per file and per batch."""
    sampler: Sampler | None = None
    """Sampler; None if the method needs none, or makes no images."""
    precision: Precision = "32-true"
    """Precision of the networks; z and the sampler's steps stay in 32-bit. Needs a GPU to be faster."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "num_images", "shard_size")
        if (self.sampler is None) == self.method.takes_sampler:
            says = "needs a sampler" if self.sampler is None else "takes no sampler"
            raise UserError(f"{self.name}: {type(self.method).__name__} {says}.")
        if self.sampler and self.sampler.clip and any(source.is_latent for source in self.method.needs):
            raise UserError(f"{self.name} samples latents, which are not in [-1, 1]: its sampler needs clip=False.")

    def check(self) -> None:
        """Raise UserError if the sampler needs a variance that a model does not learn."""
        learned = self.sampler is not None and self.sampler.variance == "learned_range"
        if learned and not all(getattr(source.model, "learned_variance", True) for source in self.method.needs):
            raise UserError(
                f"{self.name} samples with variance='learned_range'; its models need learned_variance=True."
            )

    @property
    def needs(self) -> tuple[TrainRun, ...]:
        """Models that must be trained first, each once."""
        return tuple(source for source in self.method.needs if isinstance(source, TrainRun))


Run = TrainRun | SampleRun


def seeded(name: str, seed: int) -> str:
    """Return the name of a run for one training seed."""
    return name if seed == 0 else f"{name}-seed{seed}"
