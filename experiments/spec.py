"""What a table is: rows x metrics, and the runs that fill it. Every run is a frozen value; equal runs exist once on disk."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from datamodules.config import DataConfig
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

Profile = Literal["smoke", "mini", "paper"]
HELPERS = ("embedder", "autoencoder", "experts")
"""Roles of the frozen models that a model is built over."""


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How long and on what; the names are those of ``lightning.Trainer`` where it has them."""

    max_steps: int
    """Optimizer steps."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    devices: int = 1
    num_nodes: int = 1
    gradient_clip_val: float | None = None
    ema_decay: float | None = None
    """Weight of the old average per step; None keeps the last weights."""
    checkpoint_every: int
    """Optimizer steps between checkpoints."""


@dataclass(frozen=True, kw_only=True)
class TrainRun(ModelSource):
    """One model: what is trained, on what, for how long, with which frozen models."""

    name: str
    model: ModelConfig
    """It says by ``roles`` which of the helpers below it takes."""
    data: tuple[DataConfig, ...]
    """One data set, or several that take turns (see ``regime``)."""
    regime: Literal["combined", "fine_tuning"] = "combined"
    """Combined: data sets alternate by step. Fine-tuning: the first until ``switch_step``, then the second."""
    switch_step: int | None = None
    batch_size: int
    """Images per optimizer step, over all devices."""
    trainer: TrainerConfig
    embedder: ModelSource | None = None
    """Frozen image-text model of what is conditioned on an embedding."""
    autoencoder: ModelSource | None = None
    """Frozen autoencoder whose latents are diffused."""
    experts: tuple[ModelSource, ...] = ()
    """Frozen diffusion models that are combined, in their order."""
    initial: ModelSource | None = None
    """Where the weights come from (fine-tuning); None starts afresh."""
    seed: int = 0

    def __post_init__(self) -> None:
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

    @property
    def helpers(self) -> dict[str, ModelSource | tuple[ModelSource, ...]]:
        """The frozen models that this one is built over, by role."""
        return {role: value for role in HELPERS if (value := getattr(self, role))}

    @property
    def sources(self) -> tuple[ModelSource, ...]:
        """Helpers and ``initial``, each once, in the order of their roles."""
        return tuple(dict.fromkeys(s for s in (self.embedder, self.autoencoder, *self.experts, self.initial) if s))

    @property
    def needs(self) -> tuple["TrainRun", ...]:
        """Models that must be trained first."""
        return tuple(source for source in self.sources if isinstance(source, TrainRun))


@dataclass(frozen=True, kw_only=True)
class SampleRun:
    """One folder of images: which experts, united how, under the conditions of which test images."""

    name: str
    method: MethodConfig
    data: DataConfig
    """Its test split gives the conditions, and the reference of the metrics."""
    num_images: int
    shard_size: int = 64
    """Images per file and per batch."""
    sampler: Sampler | None = None
    """None where the method makes images without one, or none."""
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.sampler is None) == self.method.takes_sampler:
            says = "needs a sampler" if self.sampler is None else "takes no sampler"
            raise UserError(f"{self.name}: {type(self.method).__name__} {says}.")

    @property
    def needs(self) -> tuple[TrainRun, ...]:
        """Models that must be trained first, each once."""
        return tuple(source for source in self.method.needs if isinstance(source, TrainRun))


Run = TrainRun | SampleRun


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A column: the paper's name for it, and the protocol by which we measure it (which is what we call our number)."""

    column: str
    protocol: str
    better: Literal["lower", "higher"]
    description: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: as printed in the paper, as measured by us, or both."""

    group: str = ""
    label: str
    published: dict[str, float] | None = None
    """Column -> value as printed."""
    sample: SampleRun | None = None
    why: str | None = None
    """Reason, where the row is not measured."""

    def __post_init__(self) -> None:
        assert (self.sample is None) == (self.why is not None), f"{self.label}: a row is measured, or says why not"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of a paper (or ours) as a comparison of two rows on one metric."""

    id: str
    text: str
    metric: str
    """Column."""
    better: str
    """Label of the row that is claimed to be better ..."""
    worse: str
    """... than this one."""
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows x metrics, the claims they decide, and the evaluators they need."""

    name: str
    title: str
    paper: str
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    evaluators: tuple[TrainRun, ...] = ()
    """Models that only measure: face parser, attribute classifier."""
    influence: bool = False
    """Draw the influence maps of the rows whose experts collaborate."""


TableFunction = Callable[[Profile, int], Table]
"""(profile, training seed) -> table."""


def seeded(name: str, seed: int) -> str:
    """Name of the run of one training seed."""
    return name if seed == 0 else f"{name}-seed{seed}"


def plan(tables: Iterable[Table]) -> list[Run]:
    """Runs of the tables, each once and after what it needs."""
    order: dict[Run, None] = {}

    def visit(run: Run) -> None:
        for need in run.needs:
            visit(need)
        order[run] = None

    for table in tables:
        for evaluator in table.evaluators:
            visit(evaluator)
        for row in table.rows:
            if row.sample:
                visit(row.sample)
    names = [r.name for r in order]
    twice = sorted({n for n in names if names.count(n) > 1})
    assert not twice, f"different runs share the name {twice}"
    return list(order)
