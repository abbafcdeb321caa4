"""U-Net with cross-attention to condition tokens: latent diffusion (Rombach et al. 2022) as Collaborative Diffusion uses it.

Collaborative Diffusion (CVPR 2023), supplement A.1, Eq. 10-11. It is diffusers' UNet2DConditionModel, which reproduces the
released networks exactly. They lack the paper's AdaLN (Eq. 9): the timestep is added before a group norm, and only this
gives the printed number of parameters.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.blocks import zero
from lightning_mmdiff.networks.running import RunningConfig, prepare
from lightning_mmdiff.transfer import moved


@dataclass(frozen=True, kw_only=True)
class CrossAttentionUNetConfig(RunningConfig):
    """Shape of the U-Net. Level 0 is the finest; each further level halves the size."""

    in_channels: int  # of the latent
    out_channels: int
    channels: tuple[int, ...]  # one width per level
    attention_levels: tuple[int, ...]  # the middle block always attends
    num_res_blocks: int
    num_heads: int | tuple[int, ...]  # for all levels, or one number per level
    context_dim: int  # width of a condition token
    norm_groups: int = 32
    projection: Literal["linear"] | None = None  # around attention, as in Stable Diffusion 2; None: a convolution
    patch_size: ClassVar[int] = 1  # positions of the latent that become channels, as in ``UNetConfig``
    num_classes: ClassVar[None] = None  # it takes no class

    def build(self) -> "CrossAttentionUNet":
        """Build the network with fresh weights."""
        return CrossAttentionUNet(self)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("channels")
        self._at_least(1, "in_channels", "out_channels", "channels", "num_res_blocks", "num_heads", "context_dim")
        self._at_least(1, "norm_groups")
        if not set(self.attention_levels) <= set(range(len(self.channels))):
            raise UserError(f"attention_levels {self.attention_levels} must lie in 0..{len(self.channels) - 1}.")
        if len(self.heads) != len(self.channels):
            raise UserError(
                f"num_heads {self.num_heads} must be one number, or one for each of channels {self.channels}."
            )
        for level in {*self.attention_levels, len(self.channels) - 1}:
            if self.channels[level] % self.heads[level]:
                raise UserError(f"{self.channels[level]} channels do not divide into {self.heads[level]} heads.")
        if wrong := [width for width in self.channels if width % self.norm_groups]:
            raise UserError(f"channels {wrong} must be multiples of norm_groups {self.norm_groups}.")

    @property
    def embedding_dim(self) -> int:
        """Width of an embedding that is the only token."""
        return self.context_dim

    @property
    def heads(self) -> tuple[int, ...]:
        """Number of attention heads at each level."""
        return (self.num_heads,) * len(self.channels) if isinstance(self.num_heads, int) else self.num_heads

    @property
    def multiple(self) -> int:
        """Required divisor of height and width."""
        return 2 ** (len(self.channels) - 1)

    @property
    def middle_channels(self) -> int:
        """Number of channels of the middle block's output."""
        return self.channels[-1]

    @property
    def output_width(self) -> int:
        """Number of channels that the output block reads."""
        return self.channels[0]


def ldm_unet() -> CrossAttentionUNetConfig:
    """Return Collaborative Diffusion's uni-modal model of 64 x 64 x 3 latents; 403,623,939 parameters (Table A4)."""
    return CrossAttentionUNetConfig(
        in_channels=3,
        out_channels=3,
        channels=(192, 384, 576, 960),
        attention_levels=(1, 2, 3),
        num_res_blocks=2,
        num_heads=32,
        context_dim=640,
    )


class CrossAttentionUNet(nn.Module):
    """diffusers' U-Net; every residual branch, every attention branch and the output start at zero, as released."""

    def __init__(self, config: CrossAttentionUNetConfig) -> None:
        super().__init__()
        self.config = config
        attends = [level in config.attention_levels for level in range(len(config.channels))]
        self.network = UNet2DConditionModel(
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends),
            up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
            block_out_channels=config.channels,  # type: ignore[arg-type]
            layers_per_block=config.num_res_blocks,
            cross_attention_dim=config.context_dim,
            attention_head_dim=config.num_heads,  # diffusers' name is wrong: here it is the number of heads
            use_linear_projection=config.projection == "linear",
            norm_num_groups=config.norm_groups,
        )
        for layer in self.network.modules():  # diffusers initializes these randomly
            if isinstance(layer, ResnetBlock2D):
                zero(layer.conv2)
            elif isinstance(layer, Transformer2DModel):
                zero(layer.proj_out)
        zero(self.network.conv_out)
        if config.checkpointing:
            self.network.enable_gradient_checkpointing()
        prepare(self, config)

    def forward(self, z: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        """Predict noise, v, a clean latent, or influence.

        Args:
            z: noisy latent, [B, in_channels, H, W].
            t: timesteps, integer or fractional, [B].
            tokens: condition, [B, L, context_dim]; zeros mean null.

        Returns:
            [B, out_channels, H, W].
        """
        if (
            z.shape[1] != self.config.in_channels
            or z.shape[2] % self.config.multiple
            or z.shape[3] % self.config.multiple
        ):
            raise UserError(
                f"z is {list(z.shape)}; expected {self.config.in_channels} channels and a height and width that are "
                f"multiples of {self.config.multiple}."
            )
        if tokens.shape[0] != len(z) or tokens.shape[2] != self.config.context_dim:
            raise UserError(f"tokens are {list(tokens.shape)}; expected [{len(z)}, L, {self.config.context_dim}].")
        return self.network(z, moved(t, z.device), tokens, return_dict=False)[0]

    def forward_with_features(
        self, x: Tensor, t: Tensor, embedding: Tensor | None = None, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict with an embedding as the only token, and return the activations that further heads can read.

        MT-Diffusion (ICLR 2024), App. E.4, gives the network its embeddings so.

        Args:
            x: noisy latent and the channels concatenated to it, [B, in_channels, H, W].
            t: timesteps, [B] or one for all.
            embedding: [B, context_dim]; zero rows, or None for the whole batch, mean null.
            labels: must be None, since this network has no classes.

        Returns:
            The output; the input of the output block, [B, output_width, H, W]; the middle block's output,
            [B, middle_channels, H / multiple, W / multiple].
        """
        assert labels is None, "a U-Net with cross-attention takes no labels"
        embedding = x.new_zeros(len(x), self.config.context_dim) if embedding is None else embedding
        found: dict[str, Tensor] = {}
        hooks = (
            self.network.mid_block.register_forward_hook(lambda _, __, output: found.update(middle=output)),
            self.network.conv_norm_out.register_forward_pre_hook(lambda _, inputs: found.update(hidden=inputs[0])),
        )
        try:
            output = self.forward(
                x, t.expand(len(x)), embedding[:, None]
            )  # one token; compiled code would call no hook
        finally:
            for hook in hooks:
                hook.remove()
        return output, found["hidden"], found["middle"]
