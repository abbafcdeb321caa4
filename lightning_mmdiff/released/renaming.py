"""Published weights of the baselines: tensors under other names, some with dimensions of size 1, loaded strictly."""

import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError

Fit = Callable[[str, Tensor], Tensor]
"""Function from our name and a published tensor to the tensor in our layout."""


def renamed(
    module: nn.Module, published: Mapping[str, Tensor], name_of: Callable[[str], str | None], *, ignored: str = r"(?!)",
    fit: Fit = lambda name, value: value,
) -> dict[str, Tensor]:  # fmt: skip
    """Return the state dict of ``module`` from published tensors.

    Args:
        module: network of ours.
        published: tensors by their published names.
        name_of: published name of a tensor of ours; None for one that is zero there, for lack of it.
        ignored: pattern of the published names that say nothing to ours: constants, statistics that nothing reads.
        fit: changes of layout; dimensions of size 1 need none.

    Raises:
        UserError: if a tensor is missing, unexpected or of another shape; names the first of each kind.
    """
    ours, found = module.state_dict(), {}
    names = {name: name_of(name) for name in ours}
    missing = [theirs for theirs in names.values() if theirs is not None and theirs not in published]
    unknown = sorted(k for k in published.keys() - set(names.values()) if not re.fullmatch(ignored, k))
    shapes = []
    for name, theirs in names.items():
        value = torch.zeros_like(ours[name]) if theirs is None else published.get(theirs)
        if value is not None:
            value = value if theirs is None else fit(name, value)
            fits = _without_ones(value) == _without_ones(ours[name])
            shapes += [] if fits else [f"{theirs} {list(value.shape)}"]
            found[name] = value.to(ours[name].dtype).view_as(ours[name]) if fits else value
    if missing or unknown or shapes:
        raise UserError(
            f"These are not the published weights of a {type(module).__name__}: {len(missing)} missing {missing[:2]}, "
            f"{len(unknown)} unexpected {unknown[:2]}, {len(shapes)} of another shape {shapes[:2]}."
        )
    return found


def stored(weight: str) -> dict[str, Any]:
    """Return what a published file holds, read without running code from it.

    Raises:
        MissingFileError: if the file is not there.
    """
    with torch.serialization.safe_globals([Namespace]):  # pSp keeps its options in one
        return torch.load(weights.require(weight), map_location="cpu", weights_only=True)


def _without_ones(value: Tensor) -> list[int]:
    return [size for size in value.shape if size != 1]
