"""GLIDE's text transformer (Nichol et al. 2022, Sec. 4): its outputs are what a U-Net's attention also reads (``context_dim``).

A text is 128 GPT-2 tokens, lower-cased; positions after its end hold a learned vector of their own, whatever the token. Attention
is in both directions and sees them too. The empty text is the null condition of classifier-free guidance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff import weights
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.tokens import check_names


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig(Config):
    """Shape of the transformer; the defaults are GLIDE's."""

    name: str = "text_tokens"
    """Name of the outputs as a condition of the network and of its expert."""
    source: str = "caption"
    """Condition of the batch that they are made from, a list of B strings."""
    vocabulary_size: int = 50_257
    """Number of tokens of GPT-2; the last one fills up a text."""
    width: int = 512
    num_layers: int = 16
    num_heads: int = 8
    max_length: int = 128
    """Number of positions; the rest of a longer text is ignored."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "vocabulary_size", "width", "num_layers", "num_heads", "max_length")
        check_names(self.name, self.source)
        if self.width % self.num_heads:
            raise UserError(f"width {self.width} does not divide into {self.num_heads} heads.")


class Layer(nn.Module):
    """Self-attention, then a feed-forward network four times as wide, each on normalized input and added to the raw one."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)  # rows: all queries, all keys, all values
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layer, [B, L, width] -> [B, L, width]."""
        heads = self.qkv(self.norm1(h)).unflatten(-1, (3, self.num_heads, -1))  # [B, L, 3, heads, head width]
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        h = h + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return h + self.feed_forward(self.norm2(h))


class TextEncoder(nn.Module):
    """Texts to vectors."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.token = nn.Embedding(config.vocabulary_size, config.width)
        self.position = nn.Parameter(0.01 * torch.randn(config.max_length, config.width))
        self.padding = nn.Parameter(0.01 * torch.randn(config.max_length, config.width))
        self.layers = nn.ModuleList([Layer(config.width, config.num_heads) for _ in range(config.num_layers)])
        self.norm = nn.LayerNorm(config.width)

    @cached_property
    def tokenize(self) -> Callable[[Sequence[str]], tuple[Tensor, Tensor]]:
        """Function from texts to tokens int64 [B, L] and whether each is of the text, bool [B, L]; reads a vocabulary."""
        from transformers import GPT2Tokenizer  # takes seconds to import

        tokenizer: Any = GPT2Tokenizer.from_pretrained(str(weights.require("gpt2_tokenizer")))
        length, end = self.config.max_length, self.config.vocabulary_size - 1

        def tokenize(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
            rows = [tokenizer(text.lower())["input_ids"][:length] if text else [] for text in texts]
            tokens = torch.tensor([row + [end] * (length - len(row)) for row in rows])
            return tokens, torch.tensor([[i < len(row) for i in range(length)] for row in rows])

        return tokenize

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of B texts, [B, max_length, width]."""
        tokens, mask = self.tokenize(texts)
        return self.encode(tokens.to(self.position.device), mask.to(self.position.device))

    def encode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the vectors of tokens, int64 [B, L], of which those with ``mask`` True belong to the text, [B, L, width]."""
        h = torch.where(mask[..., None], self.token(tokens) + self.position, self.padding)
        for layer in self.layers:
            h = layer(h)
        return self.norm(h)

    def empty(self) -> Tensor:
        """Return the vectors of the empty text, [1, max_length, width]."""
        tokens = torch.full((1, self.config.max_length), self.config.vocabulary_size - 1, device=self.position.device)
        return self.encode(tokens, torch.zeros_like(tokens, dtype=torch.bool))
