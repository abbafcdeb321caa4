"""Collaborative editing (Collaborative Diffusion, CVPR 2023, Sec. 3.3, Algorithm 3): Imagic per modality, then jointly.

It reuses the dynamic diffusers trained for generation. In the released code, one expert edit takes 1,500 iterations and alpha
is chosen by eye.

    python -m experiments.editing
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.methods.collaborative.generation import Collaborate
from lightning_mmdiff.methods.collaborative.imagic import (
    ConditionSearch,
    ImagicConfig,
    NetworkTuning,
    fit,
    interpolate,
    with_own_network,
)
from lightning_mmdiff.methods.collaborative.model import Collaborative
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.methods.config import Preparation
from lightning_mmdiff.methods.unite_and_conquer import Expert
from lightning_mmdiff.models.diffusion import DiffusionModel
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.stored import stored_json
from lightning_mmdiff.sampling import Conditions

NETWORK = "network.safetensors"
CONDITIONS = "conditions.safetensors"


@dataclass(frozen=True, kw_only=True)
class EditTogether(Collaborate):
    """Config for editing test images: each receives the conditions of the next one."""

    has_influence: ClassVar[bool] = False
    name: str
    """Folder of the preparation, shared by all edits that differ only in ``alpha`` and ``modality``."""
    imagic: ImagicConfig
    alpha: float
    """Edit strength: 0 reproduces the image, 1 is the target condition."""
    modality: int | None = None
    """Index of the expert that edits alone; None uses all of them together."""
    keep_networks: bool = False
    """Whether to keep what an image was tuned to (conditions, and a network for each expert: 1.6 GB at paper), so that an
    alpha added later needs no training. Otherwise only the edited images stay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(0, "modality")

    @property
    def target_shift(self) -> int:
        """Offset of the next test image."""
        return 1

    @property
    def calls_per_step(self) -> int:
        """Calls of all experts and dynamic diffusers, or of the one that edits alone."""
        return super().calls_per_step if self.modality is None else self.model.experts[self.modality].calls_per_step

    @property
    def preparation(self) -> Preparation:
        """Both stages of Imagic for each expert, whichever of them edit."""
        return Preparation(
            name=self.name,
            models=self.model.experts,
            steps=self.imagic.condition_steps + self.imagic.network_steps,
            batch_size=self.imagic.batch_size,
            keeps_networks=self.keep_networks,
        )


class CollaborativeEditor:
    """Edit of one image: two stages per modality, each run once and stored in ``folder``; then sampling at any alpha."""

    def __init__(self, collaborative: Collaborative, config: ImagicConfig, *, folder: Path, seed: int = 0) -> None:
        """Store the settings without preparing anything.

        Args:
            collaborative: trained dynamic diffusers over their experts; neither is changed.
            config: settings of the two stages.
            folder: folder for this edit (one image, one set of target conditions).
            seed: seed of noise and timesteps.

        Raises:
            UserError: if two collaborators share a condition name (each must have its own).
        """
        names = [name for collaborator in collaborative.config.collaborators for name in collaborator.conditions]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise UserError(
                f"Several experts are asked about {', '.join(twice)}; an edit needs a condition of its own for each."
            )
        self.collaborative, self.config, self.folder, self.seed = collaborative, config, folder, seed

    def prepare(self, image: Tensor, conditions: Conditions) -> None:
        """Run the unfinished stages of Algorithm 3, lines 1-5; if interrupted, call again to resume.

        Args:
            image: photograph to edit, uint8 [1, 3, S, S], S the experts' training size.
            conditions: target conditions of one image: uint8 [1, C, S, S], a list of one caption, ...

        Raises:
            UserError: if the image has a different size, a target condition is missing, or the folder holds a different edit.
        """
        self._check_same_edit(image, conditions)
        encoded = self._encode(conditions)
        for number in range(len(self.collaborative.experts)):
            self._prepare_member(number, image, encoded)

    def conditions(self, alpha: float) -> dict[str, Tensor]:
        """Return all modalities' conditions at ``alpha`` (line 6), float [1, ...]: 0 reproduces the image, 1 is the target."""
        mixed = {}
        for number, expert in enumerate(self.collaborative.experts):
            stored = checkpoints.load_tensors(self._finished(number, CONDITIONS))
            for name in expert.conditions:
                target, optimized = stored[f"target.{name}"], stored[f"optimized.{name}"]
                mixed[name] = interpolate(target, optimized, alpha).to(self.collaborative.device)
        return mixed

    def edit(self, alpha: float, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Edit with all modalities together (lines 8-19).

        Args:
            alpha: edit strength.
            indices: sample numbers, each with its own noise.

        Returns:
            Images, uint8 [B, 3, S, S]; influence, float [steps, M, B, h, w].
        """
        tuned = [self.tuned(number) for number in range(len(self.collaborative.experts))]
        return self.collaborative.with_experts(tuned).sample_with_influence(self._batch(alpha, indices))

    def edit_alone(self, number: int, alpha: float, indices: Sequence[int]) -> Tensor:
        """Edit with modality ``number`` alone (plain Imagic); uint8 [B, 3, S, S]."""
        expert = Expert(denoiser=self.tuned(number), conditions=self.collaborative.experts[number].conditions)
        alone = Composable([expert], sampler=self.collaborative.sampler, sampling_seed=self.collaborative.sampling_seed)
        return alone.predict_step(self._batch(alpha, indices))

    def forget(self) -> None:
        """Delete the conditions and networks found; ``prepare`` would find them again."""
        for number in range(len(self.collaborative.experts)):
            shutil.rmtree(self.folder / str(number), ignore_errors=True)

    def tuned(self, number: int) -> DiffusionModel:
        """Return the fine-tuned expert of modality ``number``, frozen; it shares everything but the network with the original."""
        path = self._finished(number, NETWORK)
        denoiser = with_own_network(self.collaborative.experts[number].denoiser)
        checkpoints.load_weights(denoiser.network, path)
        return denoiser.requires_grad_(False).eval()

    def _prepare_member(self, number: int, image: Tensor, encoded: Mapping[str, Any]) -> None:
        expert, folder = self.collaborative.experts[number], self.folder / str(number)
        denoiser = expert.denoiser
        z0 = denoiser.clean({"image": image}, seeding.generator("edit", self.seed))  # one latent for all iterations
        if not (folder / CONDITIONS).exists():
            target = {name: _as_float(encoded[name]).to(denoiser.device) for name in expert.conditions}
            search = ConditionSearch(denoiser, z0, target, self.config, self.seed)
            fit(search, self.config.condition_steps, folder / "condition")  # line 4
            found = {f"optimized.{n}": v.detach() for n, v in search.conditions().items()}
            checkpoints.save_tensors(found | {f"target.{n}": v for n, v in target.items()}, folder / CONDITIONS)
        if not (folder / NETWORK).exists():
            stored = checkpoints.load_tensors(folder / CONDITIONS)
            found = {n: stored[f"optimized.{n}"].to(denoiser.device) for n in expert.conditions}
            tuning = NetworkTuning(denoiser, z0, found, self.config, self.seed)
            fit(tuning, self.config.network_steps, folder / "tuning")  # line 5
            checkpoints.save_weights(tuning.network, folder / NETWORK, {})
        for checkpoint in folder.rglob("*.ckpt"):
            checkpoint.unlink()  # only needed to resume

    def _encode(self, conditions: Conditions) -> Conditions:
        with torch.no_grad():
            encoded = self.collaborative.encode_conditions(conditions)
        for expert in self.collaborative.experts:
            if missing := [name for name in expert.conditions if name not in encoded]:
                raise UserError(f"The edit has no {missing[0]}; found {', '.join(encoded) or 'no condition'}.")
        return encoded

    def _check_same_edit(self, image: Tensor, conditions: Conditions) -> None:
        size = getattr(self.collaborative.experts[0].denoiser.config, "image_size", None)
        if image.dtype != torch.uint8 or image.ndim != 4 or len(image) != 1 or size not in (None, image.shape[-1]):
            raise UserError(
                f"The image to edit is {image.dtype} {list(image.shape)}; expected uint8 [1, 3, {size}, {size}]."
            )
        wanted = {name: _digest(value) for name, value in sorted(conditions.items())}
        new = {"image": _digest(image), "conditions": wanted, "seed": self.seed, "config": asdict(self.config)}
        path, new = self.folder / "edit.json", json.loads(json.dumps(new))
        if (old := stored_json(path)) and old != new:
            differing = ", ".join(key for key in new if old.get(key) != new[key])
            raise UserError(f"{self.folder} holds another edit (other {differing}); choose another folder.")
        write_json(path, new)

    def _finished(self, number: int, name: str) -> Path:
        path = self.folder / str(number) / name
        if not path.exists():
            raise MissingFileError(f"{path} is missing: call prepare(image, conditions) first.")
        return path

    def _batch(self, alpha: float, indices: Sequence[int]) -> dict[str, Any]:
        known = {n: v.expand(len(indices), *v.shape[1:]) for n, v in self.conditions(alpha).items()}
        return {"index": torch.tensor(list(indices)), "conditions": known}


def _as_float(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else images.to_float(value)


def _digest(value: Any) -> str:
    content = value.cpu().numpy().tobytes() if isinstance(value, Tensor) else repr(value).encode()
    return hashlib.sha256(content).hexdigest()[:16]
