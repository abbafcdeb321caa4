"""Reductions that recipes share: the images of a row, the length of a training."""

from dataclasses import replace

from experiments.recipes.settings.samples import FewerImages
from experiments.runs import SampleRun, TrainRun
from lightning_mmdiff.schedules import Sampler


def few_images(published: SampleRun, fewer: FewerImages | None) -> SampleRun:
    """Return ``published`` with ``fewer`` images, sampled by DDIM in fewer steps; None leaves it unchanged."""
    if fewer is None:
        return published
    full = published.sampler  # latents are not clipped
    return replace(
        published,
        num_images=min(published.num_images, fewer.num_images),
        shard_size=fewer.shard_size or published.shard_size,
        sampler=full and Sampler(name="ddim", num_steps=fewer.num_steps, clip=full.clip),
    )


def with_steps(run: TrainRun, steps: int) -> TrainRun:
    """Return ``run`` with this number of optimizer steps; a falling learning rate reaches zero at the last one."""
    optimizer = run.model.optimizer
    if optimizer.decay_steps is not None:
        optimizer = replace(optimizer, decay_steps=steps)
    return replace(run, model=replace(run.model, optimizer=optimizer), trainer=replace(run.trainer, max_steps=steps))
