"""What all recipes make smaller in the same way: the images of a row, the length of a training."""

from dataclasses import replace

from experiments.spec import Profile, SampleRun, TrainRun
from lightning_mmdiff.schedules import Sampler


def few_images(published: SampleRun, profile: Profile, *, mini: int = 256, smoke: int = 8) -> SampleRun:
    """``published`` at a profile: at most ``mini`` images in 25 steps of DDIM, or ``smoke`` images in 2."""

    def steps(count: int) -> Sampler | None:
        full = published.sampler  # pixels are clipped, latents are not
        return None if full is None else Sampler(name="ddim", num_steps=count, clip=full.clip)

    match profile:
        case "paper":
            return published
        case "mini":
            return replace(published, num_images=min(published.num_images, mini), sampler=steps(25))
        case "smoke":
            return replace(published, num_images=smoke, shard_size=smoke // 2, sampler=steps(2))


def with_steps(run: TrainRun, steps: int) -> TrainRun:
    """``run`` with this number of optimizer steps; a learning rate that falls reaches zero at the last."""
    optimizer = run.model.optimizer
    if optimizer.decay_steps is not None:
        optimizer = replace(optimizer, decay_steps=steps)
    return replace(run, model=replace(run.model, optimizer=optimizer), trainer=replace(run.trainer, max_steps=steps))
