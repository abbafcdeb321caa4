"""Every published file of weights as a random network in its own format, so that the code that reads and runs them works."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch
import torchvision
from reduced import Reduction
from safetensors.torch import save_file
from stand_in_files import BASELINES, publish, small_file
from torch import Tensor, nn

from lightning_mmdiff import weights
from lightning_mmdiff.metrics import niqe
from lightning_mmdiff.metrics.celebamask_parser import CelebAMaskParser
from lightning_mmdiff.metrics.efficientnet_b7 import EfficientNetB7
from lightning_mmdiff.metrics.lapa_parser import FACE, HAIR
from lightning_mmdiff.networks import farl, stable_diffusion, tokens
from lightning_mmdiff.networks.vae import VAE
from lightning_mmdiff.released import catalogue
from lightning_mmdiff.released.catalogue import ReleasedModel

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
WORD_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
BYTE_PAIRS = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
CLIP = farl.ClipSize(
    image_size=32, patch_size=8, vision_width=48, vision_layers=2, vision_heads=4, text_width=32, text_layers=2,
    text_heads=2, vocabulary_size=len(BYTE_PAIRS), end_token=len(BYTE_PAIRS) - 1,
)  # fmt: skip
reduction = Reduction()


class Inception(nn.Module):
    """The interface of the released file: ``layers`` take scaled [B, 3, 299, 299] to [B, 2048, 1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        self.layers.add_module("conv", nn.Conv2d(3, 8, 18, stride=17))
        self.layers.add_module("mixed_6", nn.Conv2d(8, 9, 1))  # [B, 9, 17, 17]
        self.layers.add_module("mixed_7", nn.Conv2d(9, 2048, 1))
        self.layers.add_module("pool2", nn.AvgPool2d(17))
        self.output = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled features."""
        return self.layers(x)


def _inception(path: Path) -> None:
    torch.jit.script(Inception().eval()).save(path)  # type: ignore[no-untyped-call]


def _trunk(make: Callable[[], Any]) -> Callable[[Path], None]:
    """Return the writer of the convolutions of one of torchvision's networks; perceptual losses read nothing else."""

    def write(path: Path) -> None:
        features = make().features
        torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, path)

    return write


def _clip(embedding_dim: int) -> Callable[[Path], None]:
    """Return the writer of a CLIP in Hugging Face's format."""

    def write(folder: Path) -> None:
        farl.clip_model(replace(CLIP, embedding_dim=embedding_dim)).save_pretrained(folder)
        (folder / "vocab.json").write_text(json.dumps({entry: i for i, entry in enumerate(BYTE_PAIRS)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")

    return write


def _word_pieces(folder: Path) -> None:
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORD_PIECES))


def _bytes(folder: Path) -> None:
    """Write a tokenizer of GPT-2's kind whose tokens are letters and spaces; the last of 64 fills up a text."""
    folder.mkdir()
    end = {"<|endoftext|>": 63}
    (folder / "vocab.json").write_text(json.dumps({entry: i for i, entry in enumerate([*LETTERS, "Ġ"])} | end))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def _pristine(path: Path) -> None:
    np.savez(path, mu_pris_param=np.linspace(0, 1, 36)[None], cov_pris_param=np.eye(36))


def _classifier(path: Path) -> None:
    torch.save(timm.create_model("test_efficientnet").state_dict(), path)


def _stable_diffusion(folder: Path) -> None:
    unet = reduction(stable_diffusion.stable_diffusion_2()).build()
    for part, module in (("unet", unet), ("vae", VAE(reduction(stable_diffusion.kl_f8(256))))):
        (folder / part).mkdir(parents=True)
        save_file(module.network.state_dict(), folder / part / stable_diffusion.FILE)


WRITERS: dict[str, Callable[[Path], None]] = {
    "inception": _inception,
    "alexnet": _trunk(lambda: torchvision.models.alexnet(weights=None)),
    "vgg16": _trunk(lambda: torchvision.models.vgg16(weights=None, init_weights=False)),
    "vgg19": _trunk(lambda: torchvision.models.vgg19(weights=None, init_weights=False)),
    "celebamask_parser": lambda path: torch.save(CelebAMaskParser().state_dict(), path),
    "clip": _clip(512),
    "clip_h": _clip(1024),
    "bert_tokenizer": _word_pieces,
    "gpt2_tokenizer": _bytes,
    "niqe": _pristine,
    "efficientnet_b7": _classifier,
    "stable_diffusion_2": _stable_diffusion,
    **dict.fromkeys(("farl", "face_parser", "face_detector", "yunet", "sface"), Path.touch),  # read by no code of ours
}
"""Name of a weight -> writer of its stand-in."""


def fake_facer() -> SimpleNamespace:
    """Finds a face in images whose red mean is above 100, hair where green is bright, face where blue is."""

    def detect(image: Tensor) -> dict[str, Tensor]:
        ids = (image[:, 0].float().mean(dim=(1, 2)) > 100).nonzero()[:, 0]
        return {"image_ids": ids, "scores": torch.ones(len(ids)), "points": torch.zeros(len(ids), 5, 2)}

    def parse(image: Tensor, faces: dict[str, Tensor]) -> dict[str, Any]:
        chosen = image[faces["image_ids"]].float() / 255
        logits = torch.zeros(len(chosen), 11, *image.shape[-2:])
        logits[:, HAIR], logits[:, FACE] = 20 * chosen[:, 1], 20 * chosen[:, 2]
        return faces | {"seg": {"logits": logits}}

    return SimpleNamespace(face_detector=lambda *a, **k: detect, face_parser=lambda *a, **k: parse)


def _opencv() -> tuple[SimpleNamespace, SimpleNamespace]:
    """Return YuNet, which finds one face in every picture, and SFace, which embeds it by 128 of its pixels."""
    yunet = SimpleNamespace(setInputSize=lambda size: None, detect=lambda picture: (1, np.ones((1, 15), np.float32)))
    sface = SimpleNamespace(
        alignCrop=lambda picture, face: picture, feature=lambda aligned: aligned.ravel()[:128].astype(np.float32)
    )
    return yunet, sface


def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the catalogue of released models know small forms of them, of the same structure."""
    files = tuple(map(small_file, catalogue.FILES))
    ours = {entry.name: entry for entry in catalogue.of_files(files)}
    entries = tuple(ours.get(entry.name) or _small(entry) for entry in catalogue.RELEASED)
    monkeypatch.setattr(catalogue, "FILES", files)
    monkeypatch.setattr(catalogue, "RELEASED", entries)
    monkeypatch.setattr(farl, "load_farl", lambda: farl.load_clip(weights.require("clip")))  # both embed in 512 numbers


def _small(entry: ReleasedModel) -> ReleasedModel:
    """Return a released autoencoder made small; other entries read their file into whatever they are given."""
    with torch.device("meta"):
        module = entry.architecture() if entry.model is None else None
    if module is None:
        return entry
    config = reduction(module.config)
    return replace(
        entry, architecture=lambda: VAE(config), load=lambda: stable_diffusion.load_autoencoder(config)
    )  # fmt: skip


def put_in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write all stand-ins below ``folder``, and let everything that asks for weights find them."""
    paths = {weight.name: folder / weight.file for weight in weights.WEIGHTS}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, write in WRITERS.items():
            write(paths[name])
    yunet, sface = _opencv()
    monkeypatch.setattr(weights, "require", paths.__getitem__)
    monkeypatch.setattr(weights, "find", lambda name: paths[name] if paths[name].exists() else None)
    monkeypatch.setattr(CelebAMaskParser, "image_size", 64)
    monkeypatch.setattr(EfficientNetB7, "architecture", "test_efficientnet")
    monkeypatch.setattr(EfficientNetB7, "size", 64)
    monkeypatch.setattr(niqe, "BLOCK", 16)  # samples have 64 pixels
    monkeypatch.setattr(tokens, "WORD_PIECES", len(WORD_PIECES))
    small_files(monkeypatch)
    publish(folder, BASELINES)
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *args: yunet)
    monkeypatch.setattr(cv2.FaceRecognizerSF, "create", lambda *args: sface)
    monkeypatch.setitem(sys.modules, "facer", fake_facer())
