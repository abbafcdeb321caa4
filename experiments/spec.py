"""What a table is: rows x metrics, and the runs that fill it. Every run is a frozen value; equal runs exist once on disk."""

import dataclasses
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datamodules.batches.masking import MaskConfig
from datamodules.faces.split import Split
from experiments.core.run_checks import check_sampling, check_training, diffuses_latents
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.collaborative.imagic import ImagicConfig
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig
from lightning_mmdiff.methods.learned_reliability import ReliabilityConfig
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.contrastive import ContrastiveConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.evaluators import AttributeClassifierConfig, FaceParserConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig
from lightning_mmdiff.models.noisy_classifier import NoisyClassifierConfig
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.schedules import Sampler

Profile = Literal["smoke", "mini", "paper"]
DatasetName = Literal["celebamask_hq", "ffhq", "imagenet", "cifar10", "cityscapes", "night2day", "digits"]
Captions = Literal["celeba-dialog", "beard-and-age", "mm-celeba"]
Method = Literal[
    "unite", "composable", "collaborate", "edit", "label_sampling", "denoise", "restore", "sdedit", "replacement", "classify",
    "count", "real",
]  # fmt: skip
ModelConfig = (
    DenoiserConfig
    | MTDiffusionConfig
    | NoisyClassifierConfig
    | FaceParserConfig
    | AttributeClassifierConfig
    | ContrastiveConfig
    | AutoencoderConfig
    | LatentDenoiserConfig
    | CollaborativeConfig
    | ReliabilityConfig
)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A data set as a run sees it."""

    dataset: DatasetName
    image_size: int
    """Height and width in pixels."""
    conditions: tuple[str, ...] = ()
    """Names of the conditions that a batch carries."""
    captions: Captions | None = None
    split: Split = "paper"
    masks: MaskConfig | None = None
    """Holes of the condition "masked_image"."""
    only_class: int | None = None
    """Train on the images of this class alone, where the data set has classes."""


@dataclass(frozen=True, kw_only=True)
class TrainerConfig(Config):
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

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "max_steps")  # Lightning's -1 never ends; recipes start from 0
        self._at_least(1, "devices", "num_nodes", "checkpoint_every")
        self._positive("gradient_clip_val")
        self._decays("ema_decay")


@dataclass(frozen=True, kw_only=True)
class TrainRun(Config):
    """One model: what is trained, on what, for how long, with which frozen models."""

    name: str
    model: ModelConfig
    data: tuple[DataConfig, ...]
    """One data set, or several that take turns (see ``regime``)."""
    regime: Literal["combined", "fine_tuning"] = "combined"
    """Combined: data sets alternate by step. Fine-tuning: the first until ``switch_step``, then the second."""
    switch_step: int | None = None
    batch_size: int
    """Images per optimizer step, over all devices."""
    trainer: TrainerConfig
    needs: tuple["TrainRun", ...] = ()
    """Frozen models: the embedder of a model that is conditioned on an embedding, the autoencoder of latents, the experts
    that are combined, in their order; and ``initial``."""
    initial: "TrainRun | None" = None
    """Where the weights come from (fine-tuning); None starts afresh."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "batch_size")
        devices = self.trainer.devices * self.trainer.num_nodes
        if self.batch_size % devices:
            raise UserError(f"{self.name} has batch_size {self.batch_size}, which {devices} devices cannot share.")


@dataclass(frozen=True, kw_only=True)
class ExpertUse(Config):
    """A trained model and those of its conditions it is asked about, with its place in Eq. 10 of Unite and Conquer."""

    run: TrainRun
    conditions: tuple[str, ...]
    weight: float = 1.0
    reliability: float | None = None
    """None is 1 / N."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("weight")


@dataclass(frozen=True, kw_only=True)
class EditConfig(Config):
    """Edits of test images: each shall get the conditions of the next one."""

    name: str
    """Folder of what is prepared once for all edits that differ in ``alpha`` and ``modality`` alone."""
    imagic: ImagicConfig
    alpha: float
    """Strength: 0 gives back the image, 1 is the wanted condition. Of ``real``: 0 is the image, 1 the one it is edited after."""
    modality: int | None = None
    """Number of the expert that edits alone; None is all of them together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "modality")


@dataclass(frozen=True, kw_only=True)
class SampleRun(Config):
    """One folder of images: which experts, united how, under the conditions of which test images."""

    name: str
    method: Method
    """``real`` stands for the data set's own images: the ceiling of every metric. ``classify`` and ``count`` sample nothing:
    a model is judged on test images, or its configuration is read."""
    experts: tuple[ExpertUse, ...] = ()
    data: DataConfig
    """Its test split gives the conditions, and the reference of the metrics."""
    num_images: int
    shard_size: int = 64
    """Images per file and per batch."""
    sampler: Sampler
    classifier: TrainRun | None = None
    """Noisy classifier that guides the sampling."""
    scale: float | None = None
    """Of classifier guidance."""
    start: float | None = None
    """SDEdit: share of the noising steps after which sampling starts, in [0, 1]."""
    influence: InfluenceConfig | None = None
    """How the influence of dynamic diffusers is used; None is as the paper prints it."""
    edit: EditConfig | None = None
    """What is done to the test images, where they are not only a source of conditions."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "num_images", "shard_size")
        self._at_least(0, "scale")
        self._shares("start")
        if self.scale is not None and self.classifier is None:
            raise UserError(f"{self.name} has scale={self.scale}, which belongs to a classifier, and has none.")
        if self.sampler.clip and any(diffuses_latents(run) for run in self.needs):
            raise UserError(f"{self.name} samples latents, which are not in [-1, 1]: its sampler needs clip=False.")

    @property
    def needs(self) -> tuple[TrainRun, ...]:
        """Models that must be trained first, each once."""
        if self.method == "count":
            return ()
        models = [*(e.run for e in self.experts), *((self.classifier,) if self.classifier else ())]
        return tuple(dict.fromkeys(models))


Run = TrainRun | SampleRun


@dataclass(frozen=True, kw_only=True)
class Metric(Config):
    """A column: the paper's name for it, and the protocol by which we measure it (which is what we call our number)."""

    column: str
    protocol: str
    better: Literal["lower", "higher"]
    description: str


@dataclass(frozen=True, kw_only=True)
class Row(Config):
    """A row: as printed in the paper, as measured by us, or both."""

    group: str = ""
    label: str
    published: dict[str, float] | None = None
    """Column -> value as printed."""
    sample: SampleRun | None = None
    why: str | None = None
    """Reason, where the row is not measured."""

    def __post_init__(self) -> None:
        super().__post_init__()
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
    """Runs of the tables, each once and after what it needs.

    Raises:
        UserError: if the data of a training or the sampler of samples do not fit the model.
    """
    order: dict[Run, None] = {}

    def visit(run: Run) -> None:
        for need in run.needs:
            visit(need)
        if isinstance(run, TrainRun):
            check_training(run)
        else:
            check_sampling(run)
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


def as_json(value: Any) -> Any:
    """Nested dataclasses as plain JSON values, each with the name of its type."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [as_json(v) for v in value]
    return value


def check_run_config(folder: Path, run: Run, data: dict[str, str]) -> None:
    """Reserve ``folder`` for ``run`` on data sets with these fingerprints: write config.json, or compare with it.

    Raises:
        UserError: if the folder was made with other settings; names the fields that differ.
    """
    path, new = folder / "config.json", json.loads(json.dumps({**as_json(run), "fingerprints": data}))
    if path.exists():
        different = list(differences(json.loads(path.read_text()), new))
        if different:
            raise UserError(
                f"{folder} was made with other settings ({'; '.join(different[:4])}). "
                "Move the folder away, or choose another --out."
            )
        return
    write_json(path, new)


def differences(old: Any, new: Any, where: str = "") -> Iterable[str]:
    """Describe every leaf in which two JSON values differ; a key that the old one lacks counts as its default."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new)):
            yield from differences(a, b, f"{where}[{i}]")
    elif old != new:
        yield f"{where}: {old!r} there, {new!r} now"
