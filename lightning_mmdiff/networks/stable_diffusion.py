"""Stable Diffusion 2 and its autoencoder kl-f8 (Rombach et al., CVPR 2022): sizes, and the released weights from disk.

MT-Diffusion (ICLR 2024) fine-tunes the first (App. E.4) and diffuses the latents of the second (App. E.1, E.4). Files are
read in diffusers' format from Hugging Face's folder stabilityai/stable-diffusion-2: unet/, vae/.
"""

import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lightning_mmdiff import weights
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig
from lightning_mmdiff.networks.vae import VAE, VAEConfig

FILE = "diffusion_pytorch_model.safetensors"
SCALE = 0.18215
"""1 / std of the latents of kl-f8, as published."""
_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of the autoencoder's attention layers in files from old versions of diffusers, and the current names."""


def stable_diffusion_2() -> CrossAttentionUNetConfig:
    """Return the U-Net of Stable Diffusion 2: 865,910,724 parameters; the version for 768 pixels predicts v."""
    return CrossAttentionUNetConfig(
        in_channels=4,
        out_channels=4,
        channels=(320, 640, 1280, 1280),
        attention_levels=(0, 1, 2),
        num_res_blocks=2,
        num_heads=(5, 10, 20, 20),
        context_dim=1024,
        projection="linear",
    )


def latent_diffusion_320() -> CrossAttentionUNetConfig:
    """Return the U-Net of 320 channels and 8 heads (MT-Diffusion, App. E.1; Stable Diffusion 1): 859,520,964 parameters."""
    return CrossAttentionUNetConfig(
        in_channels=4,
        out_channels=4,
        channels=(320, 640, 1280, 1280),
        attention_levels=(0, 1, 2),  # 32, 16, 8 positions of 256 pixels; App. E.1 prints (32, 16, 9)
        num_res_blocks=2,
        num_heads=8,
        context_dim=768,
    )


def kl_f8(image_size: int) -> VAEConfig:
    """Return the autoencoder from 8 x 8 pixels to one position of 4 channels: 83,653,863 parameters."""
    return VAEConfig(image_size=image_size, channels=(128, 256, 512, 512), latent_channels=4)


def load_autoencoder(config: VAEConfig, folder: Path | None = None) -> VAE:
    """Return kl-f8 with its released weights, frozen; default folder ``weights.require("stable_diffusion_2")``."""
    vae = VAE(config)
    load_diffusers(vae.network, (folder or weights.require("stable_diffusion_2")) / "vae" / FILE)
    vae.scale.fill_(SCALE)
    return vae.requires_grad_(False).eval()


def load_unet(network: nn.Module, folder: Path | None = None) -> None:
    """Load the released U-Net into ``network``; same default folder as ``load_autoencoder``.

    Raises:
        UserError: if ``network`` is no ``CrossAttentionUNet``, or one of other sizes.
    """
    if not isinstance(network, CrossAttentionUNet):
        raise UserError(
            f"Stable Diffusion 2 is a network with cross-attention; this one is a {type(network).__name__}."
        )
    load_diffusers(network.network, (folder or weights.require("stable_diffusion_2")) / "unet" / FILE)


def load_diffusers(module: nn.Module, path: Path) -> None:
    """Load a diffusers file strictly into one of diffusers' own networks.

    Raises:
        MissingFileError: if ``path`` does not exist.
        UserError: if it is damaged or holds another network; names the first entries that do not fit.
    """
    if not path.exists():
        raise MissingFileError(f"{path} is missing: get the folder stable-diffusion-2 again, in diffusers' format.")
    try:
        stored = {_renamed(name): value for name, value in load_file(path).items()}
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); delete it and get it again.") from error
    ours = module.state_dict()
    wrong = sorted(ours.keys() ^ stored.keys()) or sorted(k for k in ours if ours[k].shape != stored[k].shape)
    if wrong:
        raise UserError(
            f"{path} is not the network expected: {len(wrong)} entries differ (first: {', '.join(wrong[:3])})."
        )
    module.load_state_dict(stored)


def _renamed(name: str) -> str:
    return re.sub(r"\.(query|key|value|proj_attn)\.", lambda found: f".{_RENAMED[found[1]]}.", name)
