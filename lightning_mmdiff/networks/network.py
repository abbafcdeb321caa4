"""The kinds of U-Net: ADM's, and latent diffusion's with cross-attention; each config builds its own.

Both give the activations that further heads read (``forward_with_features``), so that either can be shared by all tasks
of MT-Diffusion.
"""

from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig
from lightning_mmdiff.networks.unet import UNet, UNetConfig

Network = UNet | CrossAttentionUNet
NetworkConfig = UNetConfig | CrossAttentionUNetConfig
