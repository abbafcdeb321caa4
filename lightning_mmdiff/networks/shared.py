"""The U-Net that the tasks of MT-Diffusion share, of either kind: ADM's, or latent diffusion's with cross-attention.

To the second an embedding is the one token that it attends to (MT-Diffusion, App. E.4); null is a token of zeros.
"""

from torch import Tensor

from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig
from lightning_mmdiff.networks.unet import UNet, UNetConfig

SharedConfig = UNetConfig | CrossAttentionUNetConfig


class TokenUNet(CrossAttentionUNet):
    """Latent diffusion's U-Net, called as ``UNet.forward_with_features`` is."""

    def forward_with_features(
        self, x: Tensor, t: Tensor, embedding: Tensor | None = None, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict, and give what further heads can read.

        Args:
            x: noisy latent and what is concatenated to it, [B, in_channels, H, W].
            t: timesteps, [B] or one for all.
            embedding: [B, context_dim]; zero rows, or None for the whole batch, are null.
            labels: None: this network knows no classes.

        Returns:
            The output; what the output block reads, [B, output_width, H, W]; the middle block's output,
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
            output = self(x, t.expand(len(x)), embedding[:, None])  # one token
        finally:
            for hook in hooks:
                hook.remove()
        return output, found["hidden"], found["middle"]


def shared_network(config: SharedConfig) -> UNet | TokenUNet:
    """Network of ``config``."""
    return UNet(config) if isinstance(config, UNetConfig) else TokenUNet(config)


def patch_size(config: SharedConfig) -> int:
    """Pixels (or latent positions) that become channels, along each side."""
    return config.patch_size if isinstance(config, UNetConfig) else 1


def num_classes(config: SharedConfig) -> int | None:
    """Classes that the network can be told; None: it knows none."""
    return config.num_classes if isinstance(config, UNetConfig) else None


def embedding_dim(config: SharedConfig) -> int | None:
    """Width of the embedding that the network takes; None: it takes none."""
    return config.embedding_dim if isinstance(config, UNetConfig) else config.context_dim
