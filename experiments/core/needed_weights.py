"""Which published weight files tables need: behind their metrics, and behind their models."""

from collections.abc import Iterator, Sequence

from experiments.protocols.catalogue import by_name
from experiments.spec import Run, Table, TrainRun
from lightning_mmdiff import weights
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.contrastive import ContrastiveConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig
from lightning_mmdiff.networks.tokens import TextTokensConfig

EMBEDDER = ("farl", "clip")
"""The published image-text model of faces and its tokenizer."""


def needed_weights(tables: Sequence[Table], runs: Sequence[Run]) -> list[weights.Weight]:
    """Entries of the table of weights, in its order.

    Args:
        tables: whose metrics count.
        runs: whose models count.
    """
    protocols = {metric.protocol for table in tables for metric in table.metrics}
    names = {weight for protocol in protocols for weight in by_name(protocol).weights}
    for run in runs:
        names |= set(_of_model(run)) if isinstance(run, TrainRun) else set()
    return [w for w in weights.WEIGHTS if w.name in names]


def _of_model(run: TrainRun) -> Iterator[str]:
    own_embedder = any(isinstance(need.model, ContrastiveConfig) for need in run.needs)
    match run.model:
        case DenoiserConfig(conditions=conditions) if conditions.embedding and not own_embedder:
            yield from EMBEDDER
        case MTDiffusionConfig() if not run.needs:
            yield from run.model.weight_files
        case AutoencoderConfig(perceptual_weight=weight) if weight:
            yield "vgg16"
        case LatentDenoiserConfig(conditions=TextTokensConfig(vocabulary=None)):
            yield "bert_tokenizer"
