"""All protocols. A new one is a file in this folder and a line in ``PROTOCOLS``."""

from difflib import get_close_matches

from experiments.protocols import (
    both,
    configurations,
    costs,
    distances,
    embeddings,
    faces,
    influence,
    labels,
    manifolds,
    memorization,
    pairs,
    published_scenes,
    scenes,
    segmentation,
    spread,
)
from experiments.protocols.protocol import Protocol
from experiments.spec import Metric
from lightning_mmdiff.errors import UserError

PROTOCOLS: tuple[Protocol, ...] = (
    *distances.PROTOCOLS,
    *manifolds.PROTOCOLS,
    *memorization.PROTOCOLS,
    *pairs.PROTOCOLS,
    *spread.PROTOCOLS,
    *segmentation.PROTOCOLS,
    *faces.PROTOCOLS,
    *both.PROTOCOLS,
    *scenes.PROTOCOLS,
    *published_scenes.PROTOCOLS,
    *labels.PROTOCOLS,
    *embeddings.PROTOCOLS,
    *influence.PROTOCOLS,
    *costs.PROTOCOLS,
    *configurations.PROTOCOLS,
)


def by_name(name: str) -> Protocol:
    """Return the protocol called ``name``.

    Raises:
        UserError: if there is none; names the nearest.
    """
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    (nearest,) = get_close_matches(name, [p.name for p in PROTOCOLS], n=1, cutoff=0)
    raise UserError(f"No protocol is called {name!r}; the nearest name is {nearest!r}.")


def column(name: str, protocol: str | None = None) -> Metric:
    """Return the column ``name`` of a table, measured by ``protocol``, which defaults to the protocol called ``name``."""
    found = by_name(protocol or name)
    return Metric(
        column=name, protocol=found.name, better=found.better, description=found.description, range=found.range,
        comparable=found.comparable, basis=found.basis,
    )  # fmt: skip
