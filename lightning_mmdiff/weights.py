"""Where the released weights of judges and condition encoders lie: one table, two places, no network.

A file is looked for in the folder named by the environment variable ``MMDIFF_WEIGHTS`` first, then where the tools that
made it put it (``$TORCH_HOME/hub/checkpoints``, or the Hugging Face cache for a folder). Nothing here downloads.

    python -m lightning_mmdiff.weights     # list every file and whether it is there
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_VARIABLE = "MMDIFF_WEIGHTS"


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One released weight file, or a folder of them."""

    name: str  # what the code calls it
    file: str  # its exact file name; the same under MMDIFF_WEIGHTS and in the default place
    purpose: str  # what needs it
    source: str  # where a person gets it
    licence: str
    sha256: str = ""  # first hexadecimal digits, where the publisher states them (torch hub: the end of the file name)
    hub_id: str = ""  # set for a folder of a Hugging Face model: owner/name


WEIGHTS = (
    Weight(
        name="inception",
        file="inception-2015-12-05.pt",
        purpose="FID and KID (Inception-v3 of 2015-12-05 as TorchScript, the network of clean-fid)",
        source="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
        licence="NVIDIA Source Code License (non-commercial)",
    ),
    Weight(
        name="alexnet",
        file="alexnet-owt-7be5be79.pth",
        purpose="LPIPS with the alex trunk",
        source="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        licence="BSD-3-Clause",
        sha256="7be5be79",
    ),
    Weight(
        name="vgg16",
        file="vgg16-397923af.pth",
        purpose="LPIPS with the vgg trunk",
        source="https://download.pytorch.org/models/vgg16-397923af.pth",
        licence="BSD-3-Clause",
        sha256="397923af",
    ),
    Weight(
        name="vgg19",
        file="vgg19-dcbb9e9d.pth",
        purpose="perceptual loss of the SPADE, pix2pixHD and INADE baselines",
        source="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        licence="BSD-3-Clause",
        sha256="dcbb9e9d",
    ),
    Weight(
        name="farl",
        file="FaRL-Base-Patch16-LAIONFace20M-ep64.pth",
        purpose="image and text embedding of faces (Unite and Conquer, Supplement 7.3)",
        source="https://github.com/FacePerceiver/FaRL/releases/download/pretrained_weights/"
        "FaRL-Base-Patch16-LAIONFace20M-ep64.pth",
        licence="MIT",
    ),
    Weight(
        name="face_parser",
        file="face_parsing.farl.lapa.main_ema_136500_jit191.pt",
        purpose="mIoU and F1 of parsed faces (facer farl/lapa/448)",
        source="https://github.com/FacePerceiver/facer/releases/download/models-v1/"
        "face_parsing.farl.lapa.main_ema_136500_jit191.pt",
        licence="MIT",
    ),
    Weight(
        name="face_detector",
        file="mobilenet0.25_Final.pth",
        purpose="finds the face before it is parsed (facer retinaface/mobilenet)",
        source="the releases of github.com/elliottzheng/face-detection, as facer uses it",
        licence="MIT",
    ),
    Weight(
        name="clip",
        file="clip-vit-base-patch32",
        purpose="CLIP score and text conditions (CLIP ViT-B/32, a folder with config.json)",
        source="the Hugging Face model openai/clip-vit-base-patch32",
        licence="MIT",
        hub_id="openai/clip-vit-base-patch32",
    ),
)


def entry(name: str) -> Weight:
    """Return the table's entry called ``name``."""
    for weight in WEIGHTS:
        if weight.name == name:
            return weight
    raise KeyError(f"No weight file is called {name!r}; the table has {', '.join(weight.name for weight in WEIGHTS)}.")


def candidates(name: str) -> list[Path]:
    """Return the paths at which ``name`` is looked for, first the one under ``MMDIFF_WEIGHTS`` if that is set."""
    weight = entry(name)
    override = os.environ.get(ENVIRONMENT_VARIABLE)
    places = [Path(override).expanduser() / weight.file] if override else []
    return [*places, _default_path(weight)]


def find(name: str) -> Path | None:
    """Return the path of ``name``, or None when it lies in none of its places."""
    return next((path for path in candidates(name) if path.exists()), None)


def require(name: str) -> Path:
    """Return the path of ``name``, complete as far as its publisher's checksum can tell.

    Raises:
        FileNotFoundError: if it lies in none of its places.
        ValueError: if its checksum is not the published one (a half-finished download).
    """
    weight = entry(name)
    path = find(name)
    if path is None:
        looked = " and ".join(str(candidate) for candidate in candidates(name))
        raise FileNotFoundError(
            f"{weight.file} is missing (needed for: {weight.purpose}); looked for it at {looked}. Get it from "
            f"{weight.source} and put it there, or into a folder named by {ENVIRONMENT_VARIABLE}."
        )
    if weight.sha256 and not (found := _sha256(path)).startswith(weight.sha256):
        raise ValueError(
            f"{path}: sha256 begins with {found[: len(weight.sha256)]}, the published file's with {weight.sha256}. "
            f"Delete it and get it again from {weight.source}."
        )
    return path


def _default_path(weight: Weight) -> Path:
    """Return where torch hub or the Hugging Face cache would have put the file."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    if not weight.hub_id:
        torch_home = Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser()
        return torch_home / "hub" / "checkpoints" / weight.file
    hf_home = Path(os.environ.get("HF_HOME", cache / "huggingface")).expanduser()
    model = hf_home / "hub" / f"models--{weight.hub_id.replace('/', '--')}"
    main = model / "refs" / "main"
    return model / "snapshots" / (main.read_text().strip() if main.is_file() else "main")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Print every weight file, what needs it, and where it is or was looked for."""
    for weight in WEIGHTS:
        path = find(weight.name)
        print(f"{'found  ' if path else 'missing'} {weight.name:14} {weight.purpose}")
        print(f"        {path or ' | '.join(str(candidate) for candidate in candidates(weight.name))}")


if __name__ == "__main__":
    main()
