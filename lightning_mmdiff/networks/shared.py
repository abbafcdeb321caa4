"""The U-Net that MT-Diffusion's tasks share, of either kind: ADM's, or latent diffusion's with cross-attention.

The second kind receives an embedding as the only token that it attends to (MT-Diffusion, App. E.4); zeros mean null.
"""

from torch import Tensor

from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig
from lightning_mmdiff.networks.unet import UNet, UNetConfig

SharedConfig = UNetConfig | CrossAttentionUNetConfig


class TokenUNet(CrossAttentionUNet):
    """Latent diffusion's U-Net with the same ``forward_with_features`` as ``UNet``."""

    def forward_with_features(
        self, x: Tensor, t: Tensor, embedding: Tensor | None = None, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict, and return the activations that further heads can read.

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
            output = self(x, t.expand(len(x)), embedding[:, None])  # one token
        finally:
            for hook in hooks:
                hook.remove()
        return output, found["hidden"], found["middle"]


def shared_network(config: SharedConfig) -> UNet | TokenUNet:
    """Build the network of ``config``."""
    return UNet(config) if isinstance(config, UNetConfig) else TokenUNet(config)


def patch_size(config: SharedConfig) -> int:
    """Return how many pixels (or latent positions) along each side become channels."""
    return config.patch_size if isinstance(config, UNetConfig) else 1


def num_classes(config: SharedConfig) -> int | None:
    """Return the number of classes that the network accepts; None if it takes no class."""
    return config.num_classes if isinstance(config, UNetConfig) else None


def embedding_dim(config: SharedConfig) -> int | None:
    """Return the width of the embedding that the network accepts; None if it takes no embedding."""
    return config.embedding_dim if isinstance(config, UNetConfig) else config.context_dim
