"""Features of many images: streamed through a network, shared among processes, kept on disk."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.images import batch_size
from lightning_mmdiff.metrics.networks import AdmInception, EffNetLite0, FeatureNetwork, Inception
from lightning_mmdiff.metrics.stages import KeptStages
from lightning_mmdiff.runtime.files import atomic_path
from lightning_mmdiff.runtime.locks import WorkLocks
from lightning_mmdiff.runtime.stored import stored_array

__all__ = [
    "AdmInception",
    "EffNetLite0",
    "FeatureNetwork",
    "Inception",
    "extract",
    "extract_outputs",
    "extract_shards",
    "load_shard",
    "shard_outputs",
]
Arrays = dict[str, NDArray]


@torch.inference_mode()
def extract(batches: Iterable[Tensor], network: nn.Module, *, device: str = "cpu") -> NDArray[np.float32]:
    """Return the features [N, D] of a stream of uint8 batches [B, 3, H, W] of any B; one batch is held at a time."""
    network = network.to(device).eval()
    parts = (part.to(device) for batch in batches for part in batch.split(batch_size(device)))
    features = [network(part).float().cpu().numpy() for part in parts]
    if not features:
        raise UserError("There are no images to extract features from.")
    return np.concatenate(features)


@torch.inference_mode()
def extract_outputs(
    batches: Iterable[Tensor],
    network: FeatureNetwork,
    names: Sequence[str],
    *,
    device: str = "cpu",
    references: Tensor | None = None,
    kept: KeptStages | None = None,
) -> Arrays:
    """Return the named outputs, each float32 [N, size], of a stream of uint8 batches [B, 3, H, W], from one pass.

    Args:
        batches: of any B; one is held at a time.
        network: its ``outputs`` are computed.
        names: some of "pool", "spatial", "logits", "distance".
        device: "cpu" or "cuda".
        references: the images of "distance", uint8 [N, 3, H, W].
        kept: keeps the features of ``references`` for the next call.
    """
    network, kept = network.to(device).eval(), kept or KeptStages()
    parts: dict[str, list[NDArray]] = {name: [] for name in names}
    done = 0
    for batch in batches:
        for part in batch.split(batch_size(device)):
            images = part.to(device)
            if references is None:
                found = network.outputs(images)
            else:
                beside = references[done : (done := done + len(part))].to(device)
                found = network.outputs(images, kept(network.stages, beside))
            if absent := set(names) - set(found):
                raise UserError(f"{network.name} has no output {sorted(absent)}, only {sorted(found)}.")
            for name in names:
                parts[name].append(found[name].float().cpu().numpy())
    if not all(parts.values()):
        raise UserError("There are no images to extract features from.")
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def extract_shards(
    shards: list[Path],
    make_network: type[FeatureNetwork],
    cache: Path,
    *,
    num_processes: int = 1,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Return the pooled features [N, D] of the images of all ``shards``.

    Args:
        shards: as in ``shard_outputs``.
        make_network: as in ``shard_outputs``.
        cache: as in ``shard_outputs``.
        num_processes: as in ``shard_outputs``.
        device: as in ``shard_outputs``.
    """
    return shard_outputs(shards, make_network, ("pool",), cache, num_processes=num_processes, device=device)["pool"]


def shard_outputs(
    shards: list[Path],
    make_network: type[FeatureNetwork],
    names: Sequence[str],
    cache: Path,
    *,
    num_processes: int = 1,
    device: str = "cpu",
    references: Sequence[Tensor] = (),
    kept: KeptStages | None = None,
) -> Arrays:
    """Return the named outputs, each [N, size], of the images of all ``shards``, computing only the missing ones.

    Each output of each shard is a separate file, written when that shard is done, so an interrupted call can resume.
    A file is named after the network and the shard's content, so a resampled shard never gets old features; that of
    "distance" also after the images behind it.

    Args:
        shards: files of uint8 images [n, 3, H, W] as written by ``np.save``; results are in their order.
        make_network: class of the evaluator, for example ``EffNetLite0``; built in each process that has work.
        names: some of "pool", "spatial", "logits", "distance"; one pass computes them all.
        cache: folder for the features.
        num_processes: number of spawned processes; process r takes the missing shards r::num_processes.
        device: "cpu" or "cuda"; process r uses CUDA device r modulo the number of devices.
        references: the images that those of each shard are compared with, for "distance".
        kept: as in ``extract_outputs``; of this process alone.
    """
    if not shards:
        raise UserError("There are no sample shards to extract features from; run the sample stage first.")
    beside: Sequence[Tensor | None] = references or [None] * len(shards)
    files = [
        _feature_files(shard, make_network, names, cache, real) for shard, real in zip(shards, beside, strict=True)
    ]
    work = [Piece(*each) for each in zip(shards, files, beside)]
    missing = [piece for piece in work if not _are_there(piece.files)]
    workers = min(num_processes, len(missing))
    if workers <= 1:
        _extract_share(missing, make_network, cache, device, kept=kept)
    else:
        threads = max(1, (os.cpu_count() or 1) // workers)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            shares = [
                pool.submit(_extract_share, missing[r::workers], make_network, cache, _rank_device(device, r), threads)
                for r in range(workers)
            ]
            for share in shares:
                share.result()  # re-raises the process's exception
    return {name: np.concatenate([np.load(found[name]) for found in files]) for name in names}


def load_shard(path: Path) -> Tensor:
    """Load uint8 images [n, 3, H, W] from a sample shard.

    Raises:
        UserError: if the file is not such an array; names the file.
    """
    images = stored_array(path)
    if images is None:
        raise UserError(f"{path}: not a readable sample shard; run the same command again to sample it.")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise UserError(
            f"{path}: expected uint8 images [n, 3, H, W], found {images.dtype} {list(images.shape)}; "
            "delete it and run the sample stage again."
        )
    return torch.from_numpy(np.array(images))


class Piece(NamedTuple):
    """What is computed of one shard."""

    shard: Path
    files: dict[str, Path]
    """File of each output."""
    references: Tensor | None
    """The images that those of the shard are compared with."""


def _extract_share(
    share: list[Piece],
    make_network: type[FeatureNetwork],
    cache: Path,
    device: str,
    threads: int = 0,
    kept: KeptStages | None = None,
) -> None:
    """Compute and store the outputs of each shard; build the network only if there is work.

    Any number of processes may share the work: each shard is done by the process that locks it.
    """
    if not share:
        return
    if threads:  # in a separate process
        torch.set_num_threads(threads)
    network = make_network()
    pieces = {f"{make_network.name}-{piece.shard.stem}": piece for piece in share}
    locks = WorkLocks(cache / ".locks")
    for shard, files, references in locks.share(pieces, lambda piece: _are_there(piece.files)):
        images = [load_shard(shard)]
        outputs = extract_outputs(images, network, list(files), device=device, references=references, kept=kept)
        for name, file in files.items():
            with atomic_path(file) as temporary:
                np.save(temporary, outputs[name])
    locks.clear()


def _feature_files(
    shard: Path, make_network: type[FeatureNetwork], names: Sequence[str], cache: Path, references: Tensor | None
) -> dict[str, Path]:
    """Return the file of each output of ``shard``; that of the pooled features is named after the network alone."""
    with shard.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digests = dict.fromkeys(names, digest.hexdigest())
    if references is not None:
        digest.update(references.numpy().tobytes())
        digests["distance"] = digest.hexdigest()
    labels = {name: make_network.name if name == "pool" else f"{make_network.name}.{name}" for name in names}
    return {name: cache / f"{label}-{shard.stem}-{digests[name][:16]}.npy" for name, label in labels.items()}


def _are_there(files: Mapping[str, Path]) -> bool:
    """Return whether every output of a shard is on disk and whole."""
    return all(stored_array(file) is not None for file in files.values())


def _rank_device(device: str, rank: int) -> str:
    return f"cuda:{rank % torch.cuda.device_count()}" if device == "cuda" else device
