"""Text transformer of latent diffusion, trained from scratch: 32 layers in Collaborative Diffusion (supplement A.1).

Pre-norm, learned positions, no bias in query, key and value, no padding mask, a final norm. The released module has another
19,564,602 parameters in an unused output layer; they are left out here because they would break data-parallel training.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class TextLayer(nn.Module):
    """Self-attention, then a feed-forward network four times as wide, each on normalized input and added to the raw one."""

    def __init__(self, width: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = num_heads * head_dim
        self.norm1 = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.out = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer, [B, L, width] -> [B, L, width]."""
        x = self.norm1(h)
        heads = [
            layer(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        ]
        attended = F.scaled_dot_product_attention(*heads)  # [B, heads, L, head_dim]
        h = h + self.out(attended.transpose(1, 2).flatten(2))
        return h + self.feed_forward(self.norm2(h))


class TextTransformer(nn.Module):
    """Transformer from token ids to a sequence of vectors."""

    def __init__(
        self, num_tokens: int, *, max_length: int, width: int, num_layers: int, num_heads: int, head_dim: int
    ) -> None:
        """Build the transformer.

        Args:
            num_tokens: size of the vocabulary.
            max_length: number of positions.
            width: width of the vectors.
            num_layers: number of layers.
            num_heads: number of attention heads.
            head_dim: width of a head.
        """
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, width)
        self.position = nn.Parameter(torch.empty(max_length, width))
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.position, std=0.02)
        self.layers = nn.ModuleList([TextLayer(width, num_heads, head_dim) for _ in range(num_layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode token ids, int64 [B, L] with L at most ``max_length`` -> [B, L, width]."""
        h = self.embedding(tokens) + self.position[: tokens.shape[1]]
        for layer in self.layers:
            h = layer(h)
        return self.norm(h)
