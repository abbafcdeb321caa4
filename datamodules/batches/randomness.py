"""Random numbers addressed by name and index, so that face i does not depend on which other faces are drawn."""

import zlib

import numpy as np

_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _splitmix(state: np.ndarray) -> np.ndarray:
    """Return a well-mixed uint64 for each uint64 (the finalizer of SplitMix64)."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


class Draws:
    """Uniform random numbers for the items ``indices`` of one stream; different names give independent numbers."""

    def __init__(self, *stream: int | str, indices: np.ndarray) -> None:
        self.stream = repr(stream).encode()
        self.indices = np.asarray(indices, np.uint64)

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0, *, count: int | None = None) -> np.ndarray:
        """Return uniform numbers in [low, high).

        Args:
            name: name of the draw.
            low: lower bound, included.
            high: upper bound, excluded.
            count: numbers per item; None draws one.

        Returns:
            float32 [B], or [B, count] if ``count`` is given.
        """
        digest = zlib.crc32(name.encode(), zlib.crc32(self.stream)) | zlib.crc32(self.stream + name.encode(), 7) << 32
        with np.errstate(over="ignore"):
            state = _splitmix(np.uint64(digest) + (self.indices + np.uint64(1)) * _GOLDEN)
            if count is not None:
                state = _splitmix(state[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)
        unit = (state >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        return np.float32(low) + unit * np.float32(high - low)

    def among(self, where: np.ndarray) -> "Draws":
        """Return the same stream for the items marked by ``where``, bool [B]."""
        part = Draws(indices=self.indices[where])
        part.stream = self.stream
        return part

    def chance(self, name: str, probability: np.ndarray | float) -> np.ndarray:
        """Return bool [B], true with the given probability."""
        return self.uniform(name) < probability

    def choose(self, name: str, weights: np.ndarray) -> np.ndarray:
        """Return int64 [B] in [0, K), drawn with unnormalized ``weights``, [K] or [B, K]."""
        edges = np.cumsum(np.broadcast_to(weights, (len(self.indices), np.shape(weights)[-1])), axis=1)
        return (self.uniform(name)[:, None] * edges[:, -1:] >= edges).sum(axis=1)
