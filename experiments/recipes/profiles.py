"""What all recipes make smaller in the same way: the images of a row, the length of a training."""

from dataclasses import replace

from experiments.spec import Profile, SampleRun, TrainRun
from lightning_mmdiff.schedules import Sampler


def few_images(published: SampleRun, profile: Profile, *, mini: int = 256, smoke: int = 8) -> SampleRun:
    """``published`` at a profile: at most ``mini`` images in 25 steps of DDIM, or ``smoke`` images in 2."""
    clip = published.sampler.clip  # pixels are clipped, latents are not
    match profile:
        case "paper":
            return published
        case "mini":
            sampler = Sampler(name="ddim", num_steps=25, clip=clip)
            return replace(published, num_images=min(published.num_images, mini), sampler=sampler)
        case "smoke":
            sampler = Sampler(name="ddim", num_steps=2, clip=clip)
            return replace(published, num_images=smoke, shard_size=smoke // 2, sampler=sampler)


def with_steps(run: TrainRun, steps: int) -> TrainRun:
    """``run`` with this number of optimizer steps; a learning rate that falls reaches zero at the last."""
    optimizer = run.model.optimizer
    if optimizer.decay_steps is not None:
        optimizer = replace(optimizer, decay_steps=steps)
    return replace(run, model=replace(run.model, optimizer=optimizer), trainer=replace(run.trainer, max_steps=steps))
