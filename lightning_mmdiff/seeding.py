"""Randomness keyed by its purpose: image i depends only on (seed, i), and training step k only on (seed, k).

So a result does not depend on the batch size, the number of devices, or where a run was interrupted.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def generator(*key: int | str) -> torch.Generator:
    """Return a CPU generator that is a pure function of ``key`` (distinct keys give independent streams)."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") & (2**63 - 1))


def image_generator(seed: int, index: int) -> torch.Generator:
    """Return the noise source for sampled image ``index`` of a run with ``seed``."""
    return generator("image", seed, index)


class SharedGenerator(torch.Generator):
    """A CPU generator for a batch whose rows several processes share, with the share of this one."""

    rank = 0
    world_size = 1


def shared(source: torch.Generator, rank: int, world_size: int) -> SharedGenerator:
    """Return a generator with the state of a fresh ``source`` for process ``rank`` of those that share a batch.

    All processes draw for the whole batch and keep their own rows (``randn``, ``rand``, ``randint``, ``choice``), so a row's
    draws do not depend on the number of processes.
    """
    found = SharedGenerator()
    found.manual_seed(source.initial_seed())
    found.rank, found.world_size = rank, world_size
    return found


def processes(source: torch.Generator) -> int:
    """Return the number of processes that share the batch that ``source`` draws for."""
    return source.world_size if isinstance(source, SharedGenerator) else 1


def own_rows(whole: Tensor, source: torch.Generator) -> Tensor:
    """Return this process's rows of a batch that several share, every ``world_size``-th, as ``datamodules`` divides it."""
    return whole[source.rank :: source.world_size].contiguous() if isinstance(source, SharedGenerator) else whole


def step_generator(seed: int, step: int, rank: int = 0, world_size: int = 1) -> torch.Generator:
    """Return the source of timesteps, noise and dropped conditions for a training step.

    Args:
        seed: seed of the run.
        step: number of the step.
        rank: index of this process among those that share the batch.
        world_size: their number.
    """
    return shared(generator("step", seed, step, 0), rank, world_size)


def randn(shape: Sequence[int], source: torch.Generator) -> Tensor:
    """Return standard normal noise for this process's rows of a batch, float32 ``shape`` = [B, ...]."""
    return _rows(lambda count: torch.randn(count, *shape[1:], generator=source), shape[0], source)


def rand(shape: Sequence[int], source: torch.Generator) -> Tensor:
    """Return uniform draws from [0, 1) for this process's rows of a batch, float32 ``shape`` = [B, ...]."""
    return _rows(lambda count: torch.rand(count, *shape[1:], generator=source), shape[0], source)


def randint(high: int, rows: int, source: torch.Generator) -> Tensor:
    """Return uniform whole numbers from [0, high) for this process's rows of a batch, int64 [B]."""
    return _rows(lambda count: torch.randint(high, (count,), generator=source), rows, source)


def choice(probabilities: Tensor, rows: int, source: torch.Generator) -> Tensor:
    """Return an index into ``probabilities`` [K] for each of this process's rows of a batch, int64 [B]."""
    return _rows(lambda n: torch.multinomial(probabilities, n, replacement=True, generator=source), rows, source)


def _rows(draw: Callable[[int], Tensor], rows: int, source: torch.Generator) -> Tensor:
    """Draw for the rows of all processes and return this one's."""
    return own_rows(draw(rows * processes(source)), source)
