"""Sizes and hyperparameters of a model, read off the network that its config builds (on the meta device), never typed in."""

from collections.abc import Callable
from typing import Any

import torch

from experiments.core import build, costs
from experiments.protocols.costs import constant
from experiments.protocols.protocol import Protocol, comparable
from experiments.runs import TrainRun
from lightning_mmdiff.errors import MissingFileError
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.metrics.results import Better
from lightning_mmdiff.networks.network import NetworkConfig


def run_of(use: ExpertUse) -> TrainRun:
    """Return the training run of the expert; a released model has no configuration to count."""
    assert isinstance(use.run, TrainRun)
    return use.run


def network_of(use: ExpertUse) -> NetworkConfig:
    """Return the config of the U-Net that ``use`` means."""
    return run_of(use).model.network_for(use.conditions)


def unet_parameters(use: ExpertUse) -> int:
    """Count the parameters of the U-Net alone."""
    return costs.network_parameters(network_of(use))


def trained_parameters(run: TrainRun) -> int:
    """Count all parameters that ``run`` trains."""
    size = costs.size(run)
    if size is None:
        raise MissingFileError(f"{run.name} cannot be counted without weights that are not on disk.")
    return size.trained


def width(use: ExpertUse) -> int:
    """Return the number of channels of the first level."""
    return network_of(use).output_width


def _module(run: TrainRun) -> Any:
    with torch.device("meta"):
        return build.model(run, None)


def of_expert(
    name: str, number: Callable[[ExpertUse], float], description: str, better: Better = "neither"
) -> Protocol:
    """Return a protocol that reads a number off the first expert of a run; most are settings, of which none is better.

    Args:
        name: name of the protocol.
        number: reads the number.
        description: description for the reader of a report.
        better: lower for sizes.
    """
    return comparable(constant(name, lambda samples: number(samples.run.method.uses[0]), description, better=better))


PROTOCOLS = (
    of_expert(
        "Parameters (M)", lambda use: unet_parameters(use) / 1e6, "Parameters of the U-Net alone, counted on the network.",
        "lower",
    ),
    of_expert(
        "Trained with it (M)", lambda use: trained_parameters(run_of(use)) / 1e6,
        "All parameters that its run trains: the encoder of the condition too, or both dynamic diffusers.", "lower",
    ),
    of_expert("Latent side", lambda use: _module(run_of(use)).shape[-1], "Height and width of what is diffused."),
    of_expert("Latent channels", lambda use: _module(run_of(use)).shape[0], "Channels of what is diffused."),
    of_expert("Diffusion steps", lambda use: len(_module(run_of(use)).schedule), "T."),
    of_expert("Channels", width, "Width of the first level."),
    of_expert(
        "Attention, coarsest", lambda use: 2 ** max(network_of(use).attention_levels, default=0),
        "Factor of the coarsest level with attention.",
    ),
    of_expert(
        "Attention, finest", lambda use: 2 ** min(network_of(use).attention_levels, default=0),
        "Factor of the finest level with attention.",
    ),
    of_expert("Batch size", lambda use: run_of(use).batch_size, "Images per optimizer step, over all GPUs."),
    of_expert("Iterations", lambda use: run_of(use).trainer.max_steps, "Optimizer steps."),
    of_expert(
        "Learning rate per image (1e-6)", lambda use: 1e6 * run_of(use).model.optimizer.lr / run_of(use).batch_size,
        "Learning rate over the images of a step, as code that scales the rate by the batch states it.",
    ),
)  # fmt: skip
