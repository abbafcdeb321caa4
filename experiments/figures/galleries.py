"""Strips of pictures for a report: real image, conditions, then each row of the table above its parsed map. First images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from experiments.core.edits import target_indices
from experiments.figures import palette
from experiments.protocols.samples import Samples
from experiments.spec import Row

NUM_IMAGES = 10
SEARCHED = 100
"""Number of images searched for the first of each class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Strip:
    """Pictures of the shown images side by side."""

    label: str
    pictures: np.ndarray
    """uint8 [N, H, W, 3]."""
    row: str = ""
    """Label and group of the row that made them; empty for conditions and real images."""
    shows_classes: bool = False
    """Whether its colors are those of classes, which a legend explains."""

    def looks_like(self, other: "Strip") -> bool:
        """Return whether both show the same."""
        return self.label == other.label and np.array_equal(self.pictures, other.pictures)


def shown(evaluation: Samples) -> list[int]:
    """Return the image indices on a sheet: the first of each class if there are as many classes as places, else the first."""
    count = min(SEARCHED, evaluation.run.num_images)
    batch = evaluation.data.test.batch([i % len(evaluation.data.test) for i in range(count)])
    labels = batch["conditions"].get("label", torch.zeros(count)).tolist()
    first = [labels.index(label) for label in sorted(set(labels))]
    return first if len(first) == NUM_IMAGES else list(range(min(NUM_IMAGES, count)))


def condition_strips(evaluation: Samples) -> Iterator[Strip]:
    """Yield the real images and their conditions, as pictures."""
    numbers, count = shown(evaluation), len(evaluation.data.test)
    edits = bool(evaluation.run.method.target_shift)
    if edits:
        originals = evaluation.data.test.batch([i % count for i in numbers])["image"]
        yield Strip(label="image to edit", pictures=_pictures(originals))
    batch = _batch(evaluation)
    label = "image with the wanted conditions" if edits else "real image"
    yield Strip(label=label, pictures=_pictures(batch["image"]))
    for name, value in batch["conditions"].items():
        if isinstance(value, torch.Tensor) and value.ndim == 4:
            words, classes = f"condition: {name.replace('_', ' ')}", name in palette.CLASS_CONDITIONS
            yield Strip(label=words, pictures=palette.condition(name, value.numpy()), shows_classes=classes)


def captions(evaluation: Samples) -> tuple[str, ...]:
    """Return the text of each shown image, and its class where it has one; empty if it has neither."""
    conditions = _batch(evaluation)["conditions"]
    names = getattr(getattr(evaluation.data.test, "packed", None), "classes", None)
    labels = [int(label) for label in conditions.get("label", ())]
    classes = [names[label] if names else f"class {label}" for label in labels]
    if "caption" not in conditions:
        return tuple(classes)
    texts = conditions["caption"]
    return tuple(f"{text}; {name}" for text, name in zip(texts, classes, strict=True)) if classes else tuple(texts)


def _batch(evaluation: Samples) -> dict:
    """Return the test images whose conditions the shown samples were given."""
    targets = target_indices(evaluation.run, len(evaluation.data.test))
    return evaluation.data.test.batch([targets[i] for i in shown(evaluation)])


def are_equal(first: Sequence[Strip], second: Sequence[Strip]) -> bool:
    """Return whether two lists of strips look the same."""
    return len(first) == len(second) and all(a.looks_like(b) for a, b in zip(first, second))


def sample_strips(row: Row, evaluation: Samples, *, parsed: bool) -> Iterator[Strip]:
    """Yield the row's first samples, and their label maps by the face parser."""
    images, title = evaluation.images[shown(evaluation)], title_of(row)
    yield Strip(label=title, pictures=_pictures(images), row=title)
    if parsed:
        maps = palette.label_maps(evaluation.parsed(images))
        yield Strip(label=f"{title}, parsed", pictures=maps, row=title, shows_classes=True)


def title_of(row: Row) -> str:
    """Return the label of a row with its group, as reports name it."""
    return f"{row.label} ({row.group})" if row.group else row.label


def _pictures(images: torch.Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).numpy()
