"""Draws of a step: a row of a batch has the same ones, however many processes share the batch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_mmdiff import seeding

ROWS = 12
DRAWS: dict[str, tuple[Callable[[int, torch.Generator], Tensor], Callable[[torch.Generator], Tensor]]] = {
    "randn": (lambda n, g: seeding.randn((n, 2, 3), g), lambda g: torch.randn(ROWS, 2, 3, generator=g)),
    "rand": (lambda n, g: seeding.rand((n,), g), lambda g: torch.rand(ROWS, generator=g)),
    "randint": (lambda n, g: seeding.randint(50, n, g), lambda g: torch.randint(50, (ROWS,), generator=g)),
    "choice": (
        lambda n, g: seeding.choice(torch.tensor([0.2, 0.5, 0.3]), n, g),
        lambda g: torch.multinomial(torch.tensor([0.2, 0.5, 0.3]), ROWS, replacement=True, generator=g),
    ),
}


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", DRAWS)
def test_the_rows_of_all_processes_are_those_of_one(kind, world_size) -> None:
    ours, plain = DRAWS[kind]
    whole = [
        plain(source := seeding.generator("step", 3, 7, 0)),
        plain(source),
    ]  # the second goes on where the first ended
    for rank in range(world_size):
        source = seeding.step_generator(3, 7, rank, world_size)
        for expected in whole:
            assert torch.equal(ours(ROWS // world_size, source), expected[rank::world_size])
    assert torch.equal(ours(ROWS, seeding.generator("step", 3, 7, 0)), whole[0])
