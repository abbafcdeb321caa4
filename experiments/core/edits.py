"""Editing stage: each test image is prepared once (Imagic, for each modality) and edited in all ways asked for; it can resume."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from datamodules.base import PackedDataModule
from experiments.core import build
from experiments.runs import SampleRun
from lightning_mmdiff.methods.collaborative.editing import CollaborativeEditor, EditTogether
from lightning_mmdiff.methods.collaborative.model import Collaborative
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import stored_array


def target_indices(run: SampleRun, count: int) -> list[int]:
    """Return, for each image of ``run``, the index of the test image (of ``count``) that provides its target conditions."""
    return [(number + run.method.target_shift) % count for number in range(run.num_images)]


def alike(run: SampleRun, others: Sequence[SampleRun]) -> list[SampleRun]:
    """Return ``run`` and those of ``others`` that differ from it only in name, strength and modality."""
    prepared = [other for other in others if other.method.preparation == run.method.preparation]
    return list(dict.fromkeys([run, *(other for other in prepared if _plain(other) == _plain(run))]))


def _plain(run: SampleRun) -> SampleRun:
    assert isinstance(run.method, EditTogether)
    return replace(run, name="", method=replace(run.method, alpha=0.0, modality=None))


def edited(
    runs: Sequence[SampleRun], root: Path, data: PackedDataModule, shards: Iterator[Sequence[int]]
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Edit the images of each shard; yield their indices and the edits of the first of ``runs``, uint8 [B, 3, S, S].

    Args:
        runs: ``alike`` runs, whose methods are ``EditTogether``; all edits of an image are made while its networks are there.
        root: folder of all runs; the preparation is stored there under the method's name, one folder per image.
        data: data module, already set up; its test images are edited.
        shards: image indices of each shard.
    """
    module = build.method(runs[0], root).to(build.DEVICE)
    assert isinstance(module, Collaborative)
    with tqdm(total=runs[0].num_images, desc=f"  {runs[0].name}", unit="edit") as bar:
        for numbers in shards:
            pictures = []
            for number in numbers:
                pictures.append(_edit(module, runs, root, data, number))
                bar.update()
            yield numbers, torch.cat(pictures)


def _edit(module: Collaborative, runs: Sequence[SampleRun], root: Path, data: PackedDataModule, number: int) -> Tensor:
    """Return the first run's edit of test image ``number``, uint8 [1, 3, S, S]; make those of the others too.

    Args:
        module: dynamic diffusers over their experts.
        runs: edits to make.
        root: folder of all runs.
        data: data module.
        number: index of the test image.
    """
    config, count = runs[0].method, len(data.test)
    assert isinstance(config, EditTogether)
    folder = root / config.name / f"{number:05d}"
    with WorkLocks(RunFolder(root / config.name).locks).acquire(f"{number:05d}"):  # concurrent rows share the work
        left = [run for run in runs if number < run.num_images and stored_array(_file(folder, run)) is None]
        if left:
            image = data.test.batch([number % count])["image"]
            conditions: dict[str, Any] = data.test.batch([(number + 1) % count])["conditions"]
            editor = CollaborativeEditor(module, config.imagic, folder=folder, seed=module.sampling_seed + number)
            editor.prepare(image, conditions)
            module.to(build.DEVICE)  # a finished trainer leaves its model on the CPU
            for run in left:
                with atomic_path(_file(folder, run)) as temporary:
                    np.save(temporary, _picture(editor, run, number).numpy())
            if not config.keep_networks:
                editor.forget()
        return torch.from_numpy(np.load(_file(folder, runs[0])))


def _picture(editor: CollaborativeEditor, run: SampleRun, number: int) -> Tensor:
    """Return an edit of a prepared image, uint8 [1, 3, S, S]."""
    config = run.method
    assert isinstance(config, EditTogether)
    if config.modality is None:
        return editor.edit(config.alpha, [number])[0]
    return editor.edit_alone(config.modality, config.alpha, [number])


def _file(folder: Path, run: SampleRun) -> Path:
    return folder / f"{run.name}.npy"
