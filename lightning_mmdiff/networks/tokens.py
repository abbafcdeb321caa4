"""Conditions as tokens for cross-attention (Collaborative Diffusion, CVPR 2023, supplement A.1): masks and texts.

A mask is one token per class: its 32 x 32 binary map, flattened, through one linear layer that all classes share. A token
therefore does not reveal its class, and permuting the classes leaves the output of the U-Net unchanged (measured on the
released code). ``class_embedding`` fixes this; the paper's networks do not have it.
A text is 77 tokens from a transformer that is trained from scratch with the U-Net; only the tokenizer is pretrained.
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
from lightning_mmdiff.networks.image_text import PAD, UNKNOWN, words
from lightning_mmdiff.networks.text_transformer import TextTransformer

WORD_PIECES = 30_522
"""Size of bert-base-uncased's vocabulary."""


@dataclass(frozen=True, kw_only=True)
class MaskTokensConfig(Config):
    """Encoding of a mask as tokens, [B, num_classes, width]."""

    name: str = "mask_tokens"
    """Name of the tokens in a network and its expert."""
    source: str = "mask"
    """Condition of the batch that they are made from, uint8 [B, num_classes, side, side], 0 or 255."""
    num_classes: int = 19
    side: int = 32
    """Height and width of the mask in pixels; the data reduce it from the size of its file in one step (``label_size``)."""
    width: int = 640
    pooled: bool = False
    """Whether a larger map is max-pooled to ``side``, so that no thin line of a sketch gets lost."""
    class_embedding: bool = False
    """Whether to add a learned vector to the token of each class, which tells classes apart."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "num_classes", "side", "width")
        check_names(self.name, self.source)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all conditions, of which there is one."""
        return (self.name,)

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.num_classes

    @property
    def source_size(self) -> int | None:
        """Height and width in pixels of the condition that they are made from; None for any multiple of ``side``."""
        return None if self.pooled else self.side

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Published weight files needed: none."""
        return ()

    def build(self) -> "MaskTokens":
        """Build the mask encoder with fresh weights."""
        return MaskTokens(self)


@dataclass(frozen=True, kw_only=True)
class TextTokensConfig(Config):
    """Encoding of a caption as tokens, [B, max_length, width]; by default the paper's, with 166,590,080 parameters."""

    name: str = "text_tokens"
    source: str = "caption"
    """Condition of the batch that they are made from, a list of B strings."""
    vocabulary: tuple[str, ...] | None = None
    """Words of the training captions, from ``image_text.build_vocabulary``; None for bert-base-uncased's word pieces."""
    width: int = 640
    num_layers: int = 32
    num_heads: int = 8
    head_dim: int = 64
    max_length: int = 77
    """Number of tokens; the rest of a longer caption is ignored."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("vocabulary")
        self._at_least(1, "width", "num_layers", "num_heads", "head_dim", "max_length")
        check_names(self.name, self.source)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all conditions, of which there is one."""
        return (self.name,)

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.max_length

    @property
    def source_size(self) -> int | None:
        """None: a caption has no size."""
        return None

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Published weight files needed: the tokenizer, if no vocabulary is given."""
        return ("bert_tokenizer",) if self.vocabulary is None else ()

    def build(self) -> "TextTokens":
        """Build the caption encoder with fresh weights."""
        return TextTokens(self)


TokensConfig = MaskTokensConfig | TextTokensConfig


def check_names(tokens: str, source: str) -> None:
    """Raise UserError if tokens bear the name of their source, which would then be mistaken for the tokens."""
    if tokens == source:
        raise UserError(f"The tokens and their source are both called {source!r}: give the tokens a name of their own.")


class MaskTokens(nn.Module):
    """Mask encoder with one token per class; 656,000 parameters at the paper's size."""

    def __init__(self, config: MaskTokensConfig) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(config.side**2, config.width)
        self.classes = (
            nn.Parameter(0.02 * torch.randn(config.num_classes, config.width)) if config.class_embedding else None
        )

    def forward(self, mask: Tensor) -> Tensor:
        """Return tokens [B, K, width] of masks, uint8 [B, K, side, side], 0 or 255; an absent class gives the layer's bias.

        Raises:
            UserError: if masks have another shape; a pooled one may have k times as many rows and columns.
        """
        if self.config.pooled and mask.shape[-1] % self.config.side == 0:
            mask = F.max_pool2d((mask > 127).float(), mask.shape[-1] // self.config.side) * 255
        expected = (self.config.num_classes, self.config.side, self.config.side)
        if mask.shape[1:] != expected:
            raise UserError(
                f"{self.config.source} is {list(mask.shape)}; expected [B, {', '.join(map(str, expected))}]: give the data "
                f"label_size={self.config.side}, which reads label maps at the size of their files."
            )
        present = (mask > 127).flatten(2).to(self.linear.weight.dtype)  # [B, K, side * side]
        tokens = self.linear(present)
        return tokens if self.classes is None else tokens + self.classes


class TextTokens(nn.Module):
    """Tokenizer, then a transformer. There is no padding mask, as released: padding tokens count like any other."""

    def __init__(self, config: TextTokensConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = TextTransformer(
            WORD_PIECES if config.vocabulary is None else len(config.vocabulary) + 2,
            max_length=config.max_length,
            width=config.width,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            head_dim=config.head_dim,
        )

    @cached_property
    def tokenize(self) -> Callable[[Sequence[str]], Tensor]:
        """Function from captions to int64 [B, max_length]; without a vocabulary, it loads the word pieces from disk."""
        if self.config.vocabulary is None:
            return _word_pieces(self.config.max_length)
        token_of = {word: token for token, word in enumerate(self.config.vocabulary, start=2)}

        def tokenize(captions: Sequence[str]) -> Tensor:
            rows = [[token_of.get(w, UNKNOWN) for w in words(text)][: self.config.max_length] for text in captions]
            return torch.tensor([row + [PAD] * (self.config.max_length - len(row)) for row in rows])

        return tokenize

    def forward(self, captions: Sequence[str]) -> Tensor:
        """Return tokens [B, max_length, width] of B captions."""
        return self.transformer(self.tokenize(captions).to(self.transformer.position.device))


def _word_pieces(max_length: int) -> Callable[[Sequence[str]], Tensor]:
    from transformers import BertTokenizer  # takes seconds to import

    tokenizer: Any = BertTokenizer.from_pretrained(str(weights.require("bert_tokenizer")))

    def tokenize(captions: Sequence[str]) -> Tensor:
        lower = [text.lower() for text in captions]
        return tokenizer(
            lower, truncation=True, max_length=max_length, padding="max_length", return_tensors="pt"
        )["input_ids"]  # fmt: skip

    return tokenize
