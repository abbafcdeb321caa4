"""Published runs made small by the names of their fields: the same structure, narrower, on smaller pictures, two steps.

A new table, model or network is reduced without a line here if its config names its sizes as the others do. Dropout, heads,
classes, latents, schedules, losses, averages and precision stay as published.
"""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from experiments.runs import Run
from lightning_mmdiff.baselines.adversarial import AdversarialConfig

PIXELS, SMALLEST = 4, 32
"""Pictures are this many times smaller, but not below so many pixels, which LPIPS needs."""
GROUPS = 2
"""Number of groups of a group norm; widths fall as it does."""

Shrink = Callable[[Any, Any], Any]
"""Function of the published config and the value of one of its fields, which returns the small value."""


def pixels(size: int) -> int:
    """Return the height and width of a small picture."""
    return min(size, max(SMALLEST, size // PIXELS))


def of_pictures(config: Any, masks: Any) -> Any:
    """Return ``masks`` that hide the same share of a small picture."""
    return masks and replace(masks, patch=masks.patch * pixels(config.image_size) // config.image_size)


def width(config: Any, channels: Any) -> Any:
    """Return the number of channels, of one level or of each, or of an attention head."""
    factor = getattr(config, "norm_groups", GROUPS) // GROUPS
    return tuple(c // factor for c in channels) if isinstance(channels, tuple) else max(1, channels // factor)


def heads(config: Any, number: Any) -> Any:
    """Return the number of attention heads, of one level or of each: as published, or the most that divide the channels."""
    channels = width(config, config.channels) if hasattr(config, "channels") else ()
    if isinstance(number, tuple):
        return tuple(math.gcd(n, c) for n, c in zip(number, channels))
    return math.gcd(number, *channels) if isinstance(channels, tuple) else number


def to(most: int) -> Shrink:
    """Return the function to at most ``most``."""
    return lambda config, value: min(value, most)


def narrow(config: Any, channels: int) -> int:
    """Return the width of a baseline's network, before its multipliers; those of other configs stay."""
    return min(channels, 4) if isinstance(config, AdversarialConfig) else channels


def downs(config: Any, number: int) -> int:
    """Return the number of halvings, at most to one pixel."""
    return min(number, pixels(config.image_size).bit_length() - 1)


SHRINK: dict[str, Shrink] = {
    "image_size": lambda config, size: pixels(size),
    "masks": of_pictures,
    "channels": width,
    "head_channels": width,
    "num_heads": heads,
    "norm_groups": to(GROUPS),
    "width": narrow,
    "discriminator_width": narrow,
    "encoder_width": narrow,
    "widths": lambda config, channels: tuple(min(c, 16) for c in channels),
    "units": lambda config, numbers: (1,) * len(numbers),
    "label_width": to(8),
    "last_width": to(8),
    "discriminator_widths": lambda config, channels: tuple(min(c, 8) for c in channels),
    "num_downs": downs,
    "num_blocks": to(1),
    "statistics_batches": to(2),
    "num_layers": to(2),
    "adversarial_start": to(1),
    "max_steps": to(2),
    "decay_steps": to(2),
    "warmup_steps": to(1),
    "constant_steps": to(1),
    "switch_step": to(1),
    "checkpoint_every": to(1),
    "devices": to(1),
    "num_nodes": to(1),
    "batch_size": to(2),
    "num_steps": to(3),
    "num_images": to(8),
    "shard_size": to(4),
    "vocabulary_size": to(64),
    "condition_steps": to(2),
    "network_steps": to(2),
}
"""Name of a field -> its small value; None stays None."""


class Reduction:
    """Makes runs small; equal small runs get one name, that of the first of them, so that each is done once."""

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}

    def __call__(self, value: Any) -> Any:
        """Return a table, a run or any config with everything inside it made small."""
        if isinstance(value, tuple):
            return tuple(self(part) for part in value)
        if not is_dataclass(value) or isinstance(value, type):
            return value
        small = {f.name: self(getattr(value, f.name)) for f in fields(value)}
        for name in small.keys() & SHRINK.keys():
            if small[name] is not None:
                small[name] = SHRINK[name](value, small[name])
        changed = replace(value, **small)
        return self._named(changed) if isinstance(changed, Run) else changed

    def _named(self, run: Run) -> Run:
        return replace(run, name=self.names.setdefault(replace(run, name=""), run.name))
