"""ADM's classifier of noisy images (Dhariwal & Nichol 2021, Sec. 4): the downward half of its U-Net, and a pool.

It guides ADM (Sec. 4.1), and is the head of MT-Diffusion-E and the baseline of its Fig. 6 (App. E.3). Layers are numbered
as in the released checkpoints, whose names are in ``released.adm``. They store the attention of the body in "legacy" order (see
``blocks.Attention``) and that of the pool in ours.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.blocks import Attention, GroupNorm, Resample, ResBlock, attend, timestep_embedding
from lightning_mmdiff.networks.class_layers import Stack
from lightning_mmdiff.transfer import moved


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(Config):
    """Shape of a classifier. Level 0 is the finest; each further level halves the size."""

    num_classes: int
    image_size: int  # height and width in pixels; the pool has one position vector per pixel of the last level
    in_channels: int = 3
    channels: int = 128  # at level 0, before channel_mult
    channel_mult: tuple[float, ...]  # one factor per level
    num_res_blocks: int = 2
    attention_levels: tuple[int, ...]  # the middle block and the pool always attend
    head_channels: int = 64  # channels of an attention head
    dropout: float = 0.0
    patch_size: int = 1  # pixels; the network runs on patches unshuffled into channels
    resblock_updown: bool = True  # change size inside residual blocks, else by averaging between them
    norm_groups: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("channel_mult")
        self._positive("channel_mult")
        self._at_least(1, "num_classes", "image_size", "in_channels", "num_res_blocks", "head_channels", "patch_size")
        self._at_least(1, "norm_groups")
        self._multiples(2, "channels")  # sines and cosines of the timestep
        self._shares("dropout")
        levels = range(len(self.channel_mult))
        if not set(self.attention_levels) <= set(levels):
            raise UserError(f"attention_levels {self.attention_levels} must lie in 0..{len(levels) - 1}.")
        if self.image_size % self.multiple:
            raise UserError(f"image_size {self.image_size} must be a multiple of {self.multiple}.")
        for level in levels:
            if self.channels * self.channel_mult[level] != self.width(level):
                raise UserError(
                    f"{self.channels} channels times {self.channel_mult[level]} is no whole number of channels."
                )
            if self.width(level) % self.norm_groups:
                raise UserError(
                    f"{self.width(level)} channels at level {level} must be a multiple of norm_groups {self.norm_groups}."
                )
        for level in {*self.attention_levels, levels[-1]}:
            if self.width(level) % self.head_channels:
                raise UserError(
                    f"{self.width(level)} channels at level {level} do not divide into heads of {self.head_channels}."
                )

    @property
    def multiple(self) -> int:
        """Required divisor of height and width, in pixels."""
        return self.patch_size * 2 ** (len(self.channel_mult) - 1)

    def width(self, level: int) -> int:
        """Return the number of channels at ``level``."""
        return int(self.channels * self.channel_mult[level])


class AttentionPool(nn.Module):
    """Attention pooling (CLIP, Radford et al. 2021): one query, the mean, attends to all positions and itself."""

    def __init__(self, num_positions: int, channels: int, num_heads: int, out_dim: int) -> None:
        """Build the pool.

        Args:
            num_positions: height times width of the input.
            channels: channels of the input.
            num_heads: number of attention heads; must divide ``channels``.
            out_dim: width of the output.
        """
        super().__init__()
        self.num_heads = num_heads
        self.position = nn.Parameter(torch.randn(channels, num_positions + 1) / channels**0.5)  # the mean's first
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)  # rows: all queries, all keys, all values
        self.out = nn.Conv1d(channels, out_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pool [B, C, H, W], with H W positions, to [B, out_dim]."""
        tokens = x.flatten(2)  # [B, C, L]
        tokens = torch.cat([tokens.mean(dim=2, keepdim=True), tokens], dim=2) + self.position.to(
            x.dtype
        )  # [B, C, 1 + L]
        qkv = self.qkv(tokens).unflatten(1, (3, self.num_heads, -1))
        q, k, v = qkv.transpose(3, 4).unbind(1)  # [B, heads, 1 + L, C / heads] each
        h = attend(q[:, :, :1], k, v)  # the mean is the only query
        return self.out(h.transpose(2, 3).flatten(1, 2))[:, :, 0]


class Classifier(nn.Module):
    """Network from noisy images to class logits; each row of the output depends only on the same row of the inputs."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        time_dim = 4 * config.channels
        self.time_embed = nn.Sequential(nn.Linear(config.channels, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim))
        width = config.width(0)
        self.down = nn.ModuleList([Stack([nn.Conv2d(config.in_channels * config.patch_size**2, width, 3, padding=1)])])
        last = len(config.channel_mult) - 1
        for level in range(last + 1):
            for _ in range(config.num_res_blocks):
                layers: list[nn.Module] = [self._res_block(width, config.width(level))]
                width = config.width(level)
                if level in config.attention_levels:
                    layers.append(self._attention(width))
                self.down.append(Stack(layers))
            if level < last:
                updown = config.resblock_updown
                halve = self._res_block(width, width, halve=True) if updown else Resample(width, "down", conv=False)
                self.down.append(Stack([halve]))
        self.middle = Stack([self._res_block(width, width), self._attention(width), self._res_block(width, width)])
        self.norm = GroupNorm(config.norm_groups, width)
        positions = (config.image_size // config.multiple) ** 2
        self.pool = AttentionPool(positions, width, width // config.head_channels, config.num_classes)

    def _res_block(self, in_channels: int, out_channels: int, *, halve: bool = False) -> ResBlock:
        config = self.config
        return ResBlock(
            in_channels,
            out_channels,
            4 * config.channels,
            embedding_dim=None,
            dropout=config.dropout,
            groups=config.norm_groups,
            resample="down" if halve else None,
        )

    def _attention(self, channels: int) -> Attention:
        return Attention(channels, channels // self.config.head_channels, groups=self.config.norm_groups)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the class logits of images.

        Args:
            x: z_t, or a clean image, in [-1, 1] units, [B, in_channels, image_size, image_size].
            t: timesteps, integer or fractional, [B] or one for all.

        Returns:
            Logits, float32 [B, num_classes].
        """
        return self.pool(self.features(x, t)).float()

    def features(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the pool's input, [B, C, image_size / multiple, image_size / multiple]; same arguments as ``forward``."""
        config = self.config
        if list(x.shape[1:]) != [config.in_channels, config.image_size, config.image_size]:
            raise UserError(
                f"x is {list(x.shape)}; this classifier was made for [B, {config.in_channels}, {config.image_size}, "
                f"{config.image_size}]."
            )
        dtype = self.pool.out.weight.dtype
        time = F.silu(self.time_embed(timestep_embedding(moved(t, x.device).expand(len(x)), config.channels).to(dtype)))
        h = F.pixel_unshuffle(x.to(dtype), config.patch_size)
        for stack in [*self.down, self.middle]:
            h = stack(h, time, None)
        return F.silu(self.norm(h))
