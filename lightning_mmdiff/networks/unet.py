"""ADM's U-Net (Dhariwal & Nichol 2021) for every profile, with Unite and Conquer's face and sketch networks as presets.

diffusers' UNet2DModel lacks the second adaptive norm of supplement 7.3 and the heads of ADM-128 (see ``as_diffusers``). Layers
are numbered as in the released checkpoints, whose names for them are in ``released.adm``; ``qkv`` may need a permutation (see
``blocks.Attention``).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.blocks import (
    Attention,
    Direction,
    GroupNorm,
    Resample,
    ResBlock,
    timestep_embedding,
    zero,
)
from lightning_mmdiff.networks.class_layers import ClassLayerConfig, ClassTokens, Stack, class_layer
from lightning_mmdiff.networks.norm_silu import norm_silu
from lightning_mmdiff.networks.running import RunningConfig, prepare
from lightning_mmdiff.transfer import moved


@dataclass(frozen=True, kw_only=True)
class UNetConfig(RunningConfig):
    """Shape of a U-Net. Level 0 is the finest; each further level halves the size.

    Exactly one of ``head_channels`` and ``num_heads`` must be given. A level has ``num_res_blocks`` blocks down, one more up.
    """

    in_channels: int  # of the image and the conditions concatenated to it
    out_channels: int  # 3, or 6 with a learned variance
    channels: int  # at level 0, before channel_mult
    channel_mult: tuple[float, ...]  # one factor per level
    num_res_blocks: int
    attention_levels: tuple[int, ...]  # the middle block always attends
    head_channels: int | None = None  # channels of an attention head
    num_heads: int | None = None
    embedding_dim: int | None = None  # width of an image or text embedding (supplement 7.3)
    context_dim: int | None = None  # width of a text's vectors, for attention and the timestep's features (GLIDE)
    num_classes: int | None = None
    class_layers: ClassLayerConfig | None = None  # how the class enters; None adds it to the timestep's features
    dropout: float = 0.0
    patch_size: int = 1  # pixels; the U-Net runs on patches unshuffled into channels
    resblock_updown: bool = True  # change size inside residual blocks, else between them
    conv_resample: bool = True  # use a convolution to change size between blocks
    norm_groups: int = 32

    def build(self) -> "UNet":
        """Build the network with fresh weights; a subclass may build any module that is called as ``UNet`` is."""
        return UNet(self)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("channel_mult")
        self._positive("channel_mult")
        self._at_least(1, "in_channels", "out_channels", "num_res_blocks", "head_channels", "num_heads")
        self._at_least(1, "embedding_dim", "context_dim", "num_classes", "patch_size", "norm_groups")
        self._multiples(2, "channels")  # sines and cosines of the timestep
        self._shares("dropout")
        if (self.head_channels is None) == (self.num_heads is None):
            raise UserError(f"give head_channels or num_heads, got {self.head_channels} and {self.num_heads}.")
        levels = range(len(self.channel_mult))
        if not set(self.attention_levels) <= set(levels):
            raise UserError(f"attention_levels {self.attention_levels} must lie in 0..{len(levels) - 1}.")
        heads = self.head_channels or self.num_heads or 1
        for level in {*self.attention_levels, levels[-1]}:
            if (width := self.width(level)) % heads:
                raise UserError(f"{width} channels at level {level} do not divide into heads by {heads}.")
        if self.class_layers is not None and self.num_classes is None:
            raise UserError("class_layers need num_classes.")
        if self.context_dim is not None and (self.embedding_dim or self.class_layers):
            raise UserError("A network that reads a text (context_dim) has no embedding_dim and no class_layers.")
        if wrong := [m for m in self.channel_mult if self.channels * m % self.norm_groups]:
            raise UserError(
                f"channels {self.channels} x {wrong[0]} must be a multiple of norm_groups {self.norm_groups}."
            )

    @property
    def multiple(self) -> int:
        """Required divisor of height and width, in pixels."""
        return self.patch_size * 2 ** (len(self.channel_mult) - 1)

    @property
    def middle_channels(self) -> int:
        """Number of channels of the middle block's output."""
        return self.width(-1)

    @property
    def output_width(self) -> int:
        """Number of channels that the output block reads."""
        return self.width(0)

    def width(self, level: int) -> int:
        """Return the number of channels of a level."""
        return int(self.channels * self.channel_mult[level])


class UNet(nn.Module):
    """U-Net of ``config``. Each row of the output depends only on the same row of the inputs."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        time_dim = 4 * config.channels
        self.time_embed = nn.Sequential(nn.Linear(config.channels, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim))
        classes, entry = config.num_classes, config.class_layers
        self.label = None if classes is None or entry else nn.Embedding(classes, time_dim)
        self.project = None if config.context_dim is None else nn.Linear(config.context_dim, time_dim)
        self.tokens = ClassTokens(classes, entry.num_tokens, entry.dim) if classes and entry else None
        area = config.patch_size**2
        width = config.width(0)
        first = nn.Conv2d(config.in_channels * area, width, 3, padding=1)
        self.down = nn.ModuleList([Stack([first, *self._class_layers(width, every_block=False)])])
        skips = [width]
        last = len(config.channel_mult) - 1
        for level in range(last + 1):
            for _ in range(config.num_res_blocks):
                self.down.append(Stack(self._layers(width, config.width(level), level)))
                skips.append(width := config.width(level))
            if level < last:
                self.down.append(Stack([self._resample(width, "down")]))
                skips.append(width)

        self.middle = Stack([*self._block(width, width), self._attention(width), *self._block(width, width)])
        self.up = nn.ModuleList()
        for level in reversed(range(last + 1)):
            for block in range(config.num_res_blocks + 1):
                layers = self._layers(width + skips.pop(), config.width(level), level)
                width = config.width(level)
                if level > 0 and block == config.num_res_blocks:
                    layers.append(self._resample(width, "up"))
                self.up.append(Stack(layers))
        self.out_norm = GroupNorm(config.norm_groups, width)
        self.out_conv = zero(nn.Conv2d(width, config.out_channels * area, 3, padding=1))
        prepare(self, config)

    def _res_block(self, in_channels: int, out_channels: int, resample: Direction | None = None) -> ResBlock:
        config = self.config
        return ResBlock(
            in_channels, out_channels, 4 * config.channels, embedding_dim=config.embedding_dim,
            dropout=config.dropout, groups=config.norm_groups, resample=resample,
        )  # fmt: skip

    def _attention(self, channels: int) -> Attention:
        num_heads = self.config.num_heads or channels // (self.config.head_channels or channels)
        return Attention(channels, num_heads, groups=self.config.norm_groups, context_dim=self.config.context_dim)

    def _resample(self, channels: int, direction: Direction) -> nn.Module:
        if self.config.resblock_updown:
            return self._res_block(channels, channels, direction)
        return Resample(channels, direction, conv=self.config.conv_resample)

    def _layers(self, in_channels: int, out_channels: int, level: int) -> list[nn.Module]:
        block = self._block(in_channels, out_channels)
        return [*block, self._attention(out_channels)] if level in self.config.attention_levels else block

    def _block(self, in_channels: int, out_channels: int) -> list[nn.Module]:
        return [self._res_block(in_channels, out_channels), *self._class_layers(out_channels, every_block=True)]

    def _class_layers(self, channels: int, *, every_block: bool) -> list[nn.Module]:
        """Return the class layer that follows each block, or the one that follows the input convolution, if there is one."""
        layers = self.config.class_layers
        if layers is None or layers.every_block != every_block:
            return []
        return [class_layer(layers, channels, groups=self.config.norm_groups)]

    def forward(self, x: Tensor, t: Tensor, embedding: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Predict noise (or v, or noise and variance), [B, out_channels, H, W], with the dtype of ``x``.

        Args:
            x: noisy image in [-1, 1] units, then the condition channels, [B, in_channels, H, W].
            t: timesteps, integer or fractional, [B] or one for all.
            embedding: image or text embedding, [B, embedding_dim]; zero rows, or None for the whole batch, mean null. Or the
                vectors of a text, [B, L, context_dim], which must be given.
            labels: classes, [B] int64; -1 is null (adds nothing). Required if and only if ``num_classes`` is given.
        """
        return self.forward_with_features(x, t, embedding, labels)[0]

    def forward_with_features(
        self, x: Tensor, t: Tensor, embedding: Tensor | None = None, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output of ``forward`` and the two activations that further heads can read.

        Args: as in ``forward``.

        Returns:
            The output; the input of the output block, [B, output_width, H / patch_size, W / patch_size]; the middle block's
            output, [B, middle_channels, H / multiple, W / multiple].
        """
        self._check(x, embedding, labels)
        t = moved(t, x.device)
        dtype = self.out_conv.weight.dtype
        tokens = self.tokens(labels).to(dtype) if self.tokens is not None else None
        if self.config.context_dim is not None and embedding is not None:
            tokens, embedding = embedding.to(dtype), None
        time = self._time(t.expand(len(x)), labels, tokens)
        if self.config.embedding_dim is not None:
            embedding = x.new_zeros(len(x), self.config.embedding_dim) if embedding is None else embedding
            embedding = F.silu(embedding.to(dtype))

        h, skips = F.pixel_unshuffle(x.to(dtype), self.config.patch_size), []
        for stack in self.down:
            h = self._run(stack, h, time, embedding, tokens)
            skips.append(h)
        h = middle = self._run(self.middle, h, time, embedding, tokens)
        for stack in self.up:
            h = self._run(stack, torch.cat([h, skips.pop()], dim=1), time, embedding, tokens)
        output = self.out_conv(norm_silu(h, self.out_norm))
        return F.pixel_shuffle(output, self.config.patch_size).to(x.dtype), h, middle

    def _time(self, t: Tensor, labels: Tensor | None, tokens: Tensor | None) -> Tensor:
        """Return the SiLU of the features of timestep, class and a text's last vector, [B, 4 channels]."""
        dtype = self.out_conv.weight.dtype
        time = self.time_embed(timestep_embedding(t, self.config.channels).to(dtype))
        if self.label is not None and labels is not None:
            time = time + self.label(labels.clamp(min=0)) * (labels >= 0)[:, None]
        return F.silu(time if self.project is None or tokens is None else time + self.project(tokens[:, -1]))

    def _run(self, stack: nn.Module, h: Tensor, *conditions: Tensor | None) -> Tensor:
        if self.config.checkpointing and torch.is_grad_enabled():
            return checkpoint(stack, h, *conditions, use_reentrant=False)
        return stack(h, *conditions)

    def _check(self, x: Tensor, embedding: Tensor | None, labels: Tensor | None) -> None:
        config = self.config
        if x.shape[1] != config.in_channels or x.shape[2] % config.multiple or x.shape[3] % config.multiple:
            raise UserError(
                f"x is {list(x.shape)}; expected {config.in_channels} channels (image and conditions) and a height and "
                f"width that are multiples of {config.multiple}."
            )
        if config.context_dim is not None:
            if embedding is None or embedding.ndim != 3 or embedding.shape[::2] != (len(x), config.context_dim):
                found = "missing" if embedding is None else list(embedding.shape)
                raise UserError(f"The vectors of a text are {found}; expected [{len(x)}, L, {config.context_dim}].")
        elif embedding is not None and list(embedding.shape) != [len(x), config.embedding_dim]:
            raise UserError(f"embedding is {list(embedding.shape)}; expected [{len(x)}, {config.embedding_dim}].")
        if (labels is None) != (config.num_classes is None):
            raise UserError(
                f"labels {'missing' if labels is None else 'given'}, but num_classes is {config.num_classes}: a "
                "network with classes needs a label for each row (-1: none), a network without takes no labels."
            )
