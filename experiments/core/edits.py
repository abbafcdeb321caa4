"""Editing stage: each test image is prepared once (Imagic, for each modality), then edited; both steps can resume."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from datamodules.base import PackedDataModule
from experiments.core import build
from experiments.runs import SampleRun
from lightning_mmdiff.methods.collaborative.editing import CollaborativeEditor, EditTogether
from lightning_mmdiff.methods.collaborative.model import Collaborative
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder


def target_indices(run: SampleRun, count: int) -> list[int]:
    """Return, for each image of ``run``, the index of the test image (of ``count``) that provides its target conditions."""
    return [(number + run.method.target_shift) % count for number in range(run.num_images)]


def edited(
    run: SampleRun, runs: Path, data: PackedDataModule, shards: Iterator[Sequence[int]]
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Edit the images of each shard; yield their indices and the edits, uint8 [B, 3, S, S].

    Args:
        run: sample run whose method is ``EditTogether``.
        runs: folder of all runs; the preparation is stored there under the method's name, one folder per image.
        data: data module, already set up; its test images are edited.
        shards: image indices of each shard.
    """
    config, module = run.method, build.method(run, runs)
    assert isinstance(config, EditTogether)
    assert isinstance(module, Collaborative)
    with tqdm(total=run.num_images, desc=f"  {run.name}", unit="edit") as bar:
        for numbers in shards:
            pictures = []
            for number in numbers:
                pictures.append(_edit(module, config, runs, data, number))
                bar.update()
            yield numbers, torch.cat(pictures)


def _edit(module: Collaborative, config: EditTogether, runs: Path, data: PackedDataModule, number: int) -> Tensor:
    """Return the edit of test image ``number``, uint8 [1, 3, S, S]."""
    folder, count = runs / config.name / f"{number:05d}", len(data.test)
    image = data.test.batch([number % count])["image"]
    conditions: dict[str, Any] = data.test.batch([(number + 1) % count])["conditions"]
    editor = CollaborativeEditor(module, config.imagic, folder=folder, seed=module.sampling_seed + number)
    with WorkLocks(RunFolder(runs / config.name).locks).acquire(
        f"{number:05d}"
    ):  # concurrent rows share the preparation
        editor.prepare(image, conditions)
    if config.modality is None:
        return editor.edit(config.alpha, [number])[0]
    return editor.edit_alone(config.modality, config.alpha, [number])
