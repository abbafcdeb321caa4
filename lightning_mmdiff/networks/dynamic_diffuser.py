"""Dynamic diffuser (Collaborative Diffusion, CVPR 2023, Sec. 3.2, Eq. 5, Tables A3-A4): where and when an expert counts.

A U-Net with one output channel, 30 times smaller than its expert. It sees what the expert sees: x_t, t and the same
encoding of the condition. Its head starts at zero, so that all experts start with equal influence.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig, ldm_unet
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.networks.unet import UNetConfig


def dynamic_diffuser_unet() -> CrossAttentionUNetConfig:
    """Return the paper's dynamic diffuser for 64 x 64 x 3 latents; 13,136,321 parameters (Tables A3 and A4)."""
    return replace(ldm_unet(), channels=(32, 64, 96, 160), out_channels=1)


def mini_dynamic_diffuser(in_channels: int, *, embedding_dim: int | None = None) -> UNetConfig:
    """Return a dynamic diffuser for 32-pixel images: it works at 16 and 8 pixels; about a seventh of ``presets.mini_unet``.

    Args:
        in_channels: 3 plus the number of its expert's condition channels.
        embedding_dim: width of its expert's embedding.
    """
    return UNetConfig(
        in_channels=in_channels,
        out_channels=1,
        channels=16,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_levels=(),
        num_heads=2,
        embedding_dim=embedding_dim,
        patch_size=2,
        resblock_updown=False,
        conv_resample=False,
        norm_groups=8,
    )


class DynamicDiffuser(nn.Module):
    """D_phi of Eq. 5 for one expert; ``config`` has one output channel."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.network: nn.Module = config.build()

    def forward(
        self, z: Tensor, t: Tensor, maps: Tensor | None, encoding: Tensor | None, labels: Tensor | None
    ) -> Tensor:
        """Return the influence of the expert before the softmax, I_m,t of Eq. 5.

        Args:
            z: x_t, [B, C, H, W].
            t: timesteps, [B].
            maps: condition channels of the expert, [B, Cc, H, W], or None.
            encoding: embedding [B, D] or tokens [B, L, D] of the expert, or None.
            labels: classes of the expert, int64 [B], or None.

        Returns:
            Logits, [B, 1, H, W].
        """
        x = z if maps is None else torch.cat([z, maps.to(z.dtype)], dim=1)
        return self.network(x, t, encoding) if labels is None else self.network(x, t, encoding, labels)
