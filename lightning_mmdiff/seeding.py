"""Randomness keyed by its purpose: image i depends only on (seed, i), and training step k only on (seed, k).

So a result does not depend on the batch size, the number of devices, or where a run was interrupted.
"""

import hashlib

import torch


def generator(*key: int | str) -> torch.Generator:
    """Return a CPU generator that is a pure function of ``key`` (distinct keys give independent streams)."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") & (2**63 - 1))


def image_generator(seed: int, index: int) -> torch.Generator:
    """Return the noise source for sampled image ``index`` of a run with ``seed``."""
    return generator("image", seed, index)


def step_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """Return the source of timesteps, noise and dropped conditions for training step ``step`` on process ``rank``."""
    return generator("step", seed, step, rank)
