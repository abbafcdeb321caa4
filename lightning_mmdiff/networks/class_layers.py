"""How a class reaches the layers of a U-Net: FiLM (Perez et al. 2018) and cross-attention (Rombach et al. 2022).

Lecture "Multimodal Models and Conditional Generation" (Bereyhi 2025): FiLM is a o L + b with {a, b} = embd(u) for every
layer L. ADM adds the class to the timestep's features instead (``unet``). No layer here applies a bias to the condition,
so the null class, whose vectors are zeros, leaves every layer unchanged, both at the start and after training.

    python -m experiments.conditioning
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.blocks import Attention, GroupNorm, ResBlock, attend, scale_shift, zero


@dataclass(frozen=True, kw_only=True)
class ClassLayerConfig(Config):
    """Layers through which the class acts, one after each residual block that does not change the size."""

    kind: Literal["film", "cross-attention"]
    dim: int
    """Width of a class's vectors and of the attention."""
    num_tokens: int = 1
    """Number of vectors per class. Attention over one has weight 1 everywhere: it adds the same vector to every pixel."""
    num_heads: int = 1
    """Number of attention heads; must divide ``dim``."""
    every_block: bool = True
    """If False, there is only one layer, after the first convolution of the U-Net."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "dim", "num_tokens", "num_heads")
        if self.kind == "film" and (self.num_tokens, self.num_heads) != (1, 1):
            raise UserError(
                f"FiLM reads one vector of a class and has no heads; got num_tokens={self.num_tokens}, "
                f"num_heads={self.num_heads}."
            )
        if self.dim % self.num_heads:
            raise UserError(f"num_heads must divide dim; got {self.num_heads} heads and dim {self.dim}.")


class ClassTokens(nn.Module):
    """Learned vectors of each class."""

    def __init__(self, num_classes: int, num_tokens: int, dim: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.table = nn.Embedding(num_classes, num_tokens * dim)

    def forward(self, labels: Tensor) -> Tensor:
        """Look up classes, int64 [B] -> [B, K, D]; zeros for -1, the null class."""
        vectors = self.table(labels.clamp(min=0)) * (labels >= 0)[:, None]
        return vectors.unflatten(1, (self.num_tokens, -1))  # [B, K D] -> [B, K, D]


class FiLM(nn.Module):
    """Feature-wise linear modulation of the previous layer's output; starts as the identity."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.modulation = zero(nn.Linear(dim, 2 * channels, bias=False))

    def forward(self, h: Tensor, tokens: Tensor) -> Tensor:
        """Modulate activations [B, C, H, W] by the class's only vector, [B, 1, D]."""
        return scale_shift(h, self.modulation(tokens[:, 0]))  # a o L + b, as a = 1 + scale


class CrossAttention(nn.Module):
    """Attention of pixels (queries) to the class's vectors (keys and values); starts as the identity."""

    def __init__(self, channels: int, config: ClassLayerConfig, *, groups: int) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm = GroupNorm(groups, channels)
        self.query = nn.Conv1d(channels, config.dim, 1)
        self.key_value = nn.Linear(config.dim, 2 * config.dim, bias=False)  # all keys, all values
        self.out = zero(nn.Conv1d(config.dim, channels, 1, bias=False))

    def forward(self, h: Tensor, tokens: Tensor) -> Tensor:
        """Let activations [B, C, H, W] attend to the class's vectors, [B, K, D]."""
        query = self.query(self.norm(h.flatten(2)))  # [B, D, H W]
        q = query.unflatten(1, (self.num_heads, -1)).transpose(2, 3)  # [B, heads, H W, D / heads]
        pairs = self.key_value(tokens).unflatten(2, (2, self.num_heads, -1))  # [B, K, 2, heads, D / heads]
        k, v = pairs.permute(2, 0, 3, 1, 4)  # [B, heads, K, D / heads] each
        answer = attend(q, k, v).transpose(2, 3).flatten(1, 2)  # [B, D, H W]
        return h + self.out(answer).view_as(h)


class Stack(nn.ModuleList):
    """Layers in sequence: residual blocks receive timestep and embedding; class layers and attention the tokens."""

    def forward(self, h: Tensor, time: Tensor, embedding: Tensor | None, tokens: Tensor | None = None) -> Tensor:
        """Apply the layers in order.

        Args:
            h: activations, [B, C, H, W].
            time: SiLU of the timestep's features, [B, time_dim].
            embedding: SiLU of the embedding, [B, embedding_dim], or None.
            tokens: vectors of the class or of a text, [B, K, D], or None.

        Returns:
            [B, C', H', W'].
        """
        for layer in self:
            if isinstance(layer, ResBlock):
                h = layer(h, time, embedding)
            else:
                h = layer(h, tokens) if isinstance(layer, FiLM | CrossAttention | Attention) else layer(h)
        return h


def class_layer(config: ClassLayerConfig, channels: int, *, groups: int) -> FiLM | CrossAttention:
    """Build the layer of ``config`` for activations with ``channels`` channels; ``groups`` belongs to its group norm."""
    if config.kind == "film":
        return FiLM(channels, config.dim)
    return CrossAttention(channels, config, groups=groups)
