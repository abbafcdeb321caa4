"""Randomness as a function of what it is for: image i depends on (seed, i), training step k on (seed, k), nothing else.

So a result does not change with the batch size, the number of devices, or where a run was interrupted.
"""

import hashlib

import torch


def generator(*key: int | str) -> torch.Generator:
    """Return a CPU generator that is a pure function of ``key`` (distinct keys give independent streams)."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") & (2**63 - 1))


def image_generator(seed: int, index: int) -> torch.Generator:
    """Return the noise source of sampled image ``index`` of a run with ``seed``."""
    return generator("image", seed, index)


def step_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """Return the source of timesteps, noise and dropped conditions of training step ``step`` on process ``rank``."""
    return generator("step", seed, step, rank)
