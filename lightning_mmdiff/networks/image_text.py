"""Small CLIP-like pair of encoders for the mini profile (Unite and Conquer, supplement 7.3)."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.segmenter import ConvBlock

PAD, UNKNOWN = 0, 1
"""Tokens that precede the words of a vocabulary: word i is token i + 2."""
HEADS = 4
"""Number of attention heads over the words."""


def words(text: str) -> list[str]:
    """Return the words and numbers of ``text`` in lower case; punctuation is dropped."""
    return re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", text.lower())


def build_vocabulary(captions: Iterable[str], max_words: int = 1000) -> tuple[str, ...]:
    """Return the most frequent words of the training captions, most frequent first, ties in alphabetical order."""
    counts = Counter(word for caption in captions for word in words(caption))
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:max_words])


class ImageEncoder(nn.Module):
    """Convolutions at S/2, S/4 and S/8, averaged to 4x4 positions, then one linear layer. Rows are independent."""

    positions = 4

    def __init__(self, out_dim: int, channels: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = channels
        self.stem = nn.Conv2d(4 * 3, first, 3, padding=1)
        self.blocks = nn.ModuleList(
            [
                ConvBlock(first, first),
                nn.Conv2d(first, second, 3, stride=2, padding=1),
                ConvBlock(second, second),
                nn.Conv2d(second, third, 3, stride=2, padding=1),
            ]
        )
        self.norm = nn.GroupNorm(8, third)
        self.head = nn.Linear(third * self.positions**2, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Encode images, float [-1, 1], [B, 3, S, S] with S a multiple of 8 -> [B, out_dim]."""
        h = self.stem(F.pixel_unshuffle(x, 2))  # [B, C, S/2, S/2]
        for block in self.blocks:
            h = block(h)
        h = F.adaptive_avg_pool2d(F.silu(self.norm(h)), self.positions)  # [B, C, 4, 4]
        return self.head(h.flatten(1))


class TextEncoder(nn.Module):
    """Word embeddings, positions, a small transformer over the words present, and their mean.

    The vocabulary is stored with the weights; loading weights with another vocabulary is an error.
    """

    def __init__(
        self, out_dim: int, vocabulary: Sequence[str], *, width: int, num_layers: int, max_length: int
    ) -> None:
        """Build the encoder.

        Args:
            out_dim: width of the output.
            vocabulary: known words; all others share one token.
            width: width of the transformer; must be a multiple of ``HEADS``.
            num_layers: number of transformer layers.
            max_length: number of words read from a caption.
        """
        super().__init__()
        self.vocabulary = tuple(vocabulary)
        self.max_length = max_length
        self._token_of = {word: token for token, word in enumerate(self.vocabulary, start=2)}
        self.embedding = nn.Embedding(len(self.vocabulary) + 2, width, padding_idx=PAD)
        self.position = nn.Parameter(torch.randn(max_length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width,
            nhead=HEADS,
            dim_feedforward=4 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.transformer = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, out_dim)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Return tokens, int64 [B, L], padded with 0; L is the longest caption's length, from 1 to ``max_length``."""
        rows = [[self._token_of.get(word, UNKNOWN) for word in words(text)][: self.max_length] for text in captions]
        length = max([1, *(len(row) for row in rows)])
        return torch.tensor([row + [PAD] * (length - len(row)) for row in rows])

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode tokens, int64 [B, L] -> [B, out_dim]; a caption without words counts as one unknown word."""
        empty = (tokens == PAD).all(dim=1, keepdim=True)
        tokens = torch.where(empty & (torch.arange(tokens.shape[1], device=tokens.device) == 0), UNKNOWN, tokens)
        absent = tokens == PAD  # [B, L]
        h = self.embedding(tokens) + self.position[: tokens.shape[1]]
        h = self.norm(self.transformer(h, src_key_padding_mask=absent))  # [B, L, D]
        present = (~absent).unsqueeze(-1).to(h.dtype)
        return self.head((h * present).sum(dim=1) / present.sum(dim=1))

    def get_extra_state(self) -> Tensor:
        """Return the vocabulary as UTF-8 bytes, one word per line, in a tensor that safetensors can hold."""
        return torch.tensor(list("\n".join(self.vocabulary).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Check that the weights being loaded belong to this vocabulary."""
        stored = tuple(bytes(state.tolist()).decode().split("\n"))
        if stored != self.vocabulary:
            first = next((pair for pair in zip(stored, self.vocabulary) if pair[0] != pair[1]), ("", ""))
            raise UserError(
                f"These weights have another vocabulary ({len(stored)} words, ours {len(self.vocabulary)}; the first "
                f"difference is {first[0]!r}, ours {first[1]!r}): build the model from the config stored beside them."
            )
