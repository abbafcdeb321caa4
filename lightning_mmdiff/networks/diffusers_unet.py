"""diffusers' UNet2DModel as the network of a model of ours: the same config, another builder.

It lacks ADM's adaptive norm of embeddings, patches and class tokens; a config that asks for them is refused.
"""

from dataclasses import dataclass
from typing import Any

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.running import prepare
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.transfer import moved


@dataclass(frozen=True, kw_only=True)
class DiffusersUNetConfig(UNetConfig):
    """Shape of a UNet2DModel, in the words of ``UNetConfig``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding_dim or self.class_layers or self.patch_size != 1:
            raise UserError(
                "UNet2DModel takes no embedding_dim, class_layers or patch_size above 1; use UNetConfig for these."
            )

    def build(self) -> nn.Module:  # type: ignore[override]
        """Build diffusers' network with fresh weights."""
        return DiffusersUNet(self)


class DiffusersUNet(nn.Module):
    """A UNet2DModel that is called as ``UNet`` is."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        levels = range(len(config.channel_mult))
        attends = [level in config.attention_levels for level in levels]
        heads = config.head_channels or config.channels * config.channel_mult[-1] // (config.num_heads or 1)
        classes = config.num_classes and config.num_classes + 1  # the last one is null
        self.unet: Any = UNet2DModel(
            in_channels=config.in_channels, out_channels=config.out_channels, layers_per_block=config.num_res_blocks,
            block_out_channels=tuple(config.channels * factor for factor in config.channel_mult),
            down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attends),
            up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
            norm_num_groups=config.norm_groups, attention_head_dim=heads, dropout=config.dropout,
            num_class_embeds=classes, resnet_time_scale_shift="scale_shift", act_fn="silu",
        )  # fmt: skip
        if config.checkpointing:
            self.unet.enable_gradient_checkpointing()  # type: ignore[attr-defined]
        prepare(self, config)

    def forward(self, x: Tensor, t: Tensor, embedding: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Return the output, [B, out_channels, H, W].

        Args:
            x: noisy image and condition channels, [B, in_channels, H, W].
            t: timesteps, [B] or one for all.
            embedding: always None.
            labels: classes, int64 [B]; -1 is null.
        """
        assert embedding is None
        if labels is not None:
            labels = labels % self.unet.config["num_class_embeds"]  # -1, the null class, is the last one
        return self.unet(x, moved(t, x.device), class_labels=labels).sample
