"""Conditions as tokens for cross-attention (Collaborative Diffusion, CVPR 2023, supplement A.1): masks and texts.

A mask is one token per class: its 32 x 32 binary map, flattened, through one linear layer that all classes share. So the
token of a class does not say which class it is, and permuting the classes changes nothing in the output of the U-Net
(measured on the released code). ``class_embedding`` repairs that; the paper's networks do not have it.
A text is 77 tokens of a transformer that is trained from scratch with the U-Net; only the tokenizer is given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
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
    """A mask as tokens, [B, num_classes, width]."""

    name: str = "mask_tokens"
    """What a network and its expert call the tokens."""
    source: str = "mask"
    """Condition of the batch that they are made of, uint8 [B, num_classes, S, S], 0 or 255."""
    num_classes: int = 19
    side: int = 32
    """Height and width in pixels at which the mask is read; S must be a multiple."""
    width: int = 640
    class_embedding: bool = False
    """Add a learned vector to the token of each class, which tells classes apart."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "num_classes", "side", "width")
        check_names(self.name, self.source)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all conditions: one."""
        return (self.name,)

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.num_classes

    @property
    def weight_files(self) -> tuple[str, ...]:
        """None: the encoder has no published part."""
        return ()

    def build(self) -> "MaskTokens":
        """Encoder of the mask, with fresh weights."""
        return MaskTokens(self)


@dataclass(frozen=True, kw_only=True)
class TextTokensConfig(Config):
    """A caption as tokens, [B, max_length, width]; the defaults are the paper's: 166,590,080 parameters."""

    name: str = "text_tokens"
    source: str = "caption"
    """Condition of the batch that they are made of, a list of B strings."""
    vocabulary: tuple[str, ...] | None = None
    """Words of the training captions, from ``image_text.build_vocabulary``; None is bert-base-uncased's word pieces."""
    width: int = 640
    num_layers: int = 32
    num_heads: int = 8
    head_dim: int = 64
    max_length: int = 77
    """Tokens; the rest of a longer caption is not read."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("vocabulary")
        self._at_least(1, "width", "num_layers", "num_heads", "head_dim", "max_length")
        check_names(self.name, self.source)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all conditions: one."""
        return (self.name,)

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.max_length

    @property
    def weight_files(self) -> tuple[str, ...]:
        """The published tokenizer, where the words are its own."""
        return ("bert_tokenizer",) if self.vocabulary is None else ()

    def build(self) -> "TextTokens":
        """Encoder of the caption, with fresh weights."""
        return TextTokens(self)


TokensConfig = MaskTokensConfig | TextTokensConfig


def check_names(tokens: str, source: str) -> None:
    """Raise UserError where tokens are called as what they are made of: that would be taken for the tokens."""
    if tokens == source:
        raise UserError(f"The tokens and their source are both called {source!r}: give the tokens a name of their own.")


class MaskTokens(nn.Module):
    """One token a class; 656,000 parameters at the paper's size."""

    def __init__(self, config: MaskTokensConfig) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(config.side**2, config.width)
        self.classes = (
            nn.Parameter(0.02 * torch.randn(config.num_classes, config.width)) if config.class_embedding else None
        )

    def forward(self, mask: Tensor) -> Tensor:
        """Tokens [B, K, width] of a mask, uint8 [B, K, S, S], 0 or 255. An absent class gives the bias of the layer."""
        size = mask.shape[-1]
        if mask.shape[1:] != (self.config.num_classes, size, size) or size % self.config.side:
            raise UserError(
                f"{self.config.source} is {list(mask.shape)}; expected [B, {self.config.num_classes}, S, S] with S a "
                f"multiple of {self.config.side}."
            )
        stride = size // self.config.side
        small = mask[:, :, stride // 2 :: stride, stride // 2 :: stride]  # nearest neighbor, as PIL: 16 i + 8 at 512
        present = (small > 127).flatten(2).to(self.linear.weight.dtype)  # [B, K, side * side]
        tokens = self.linear(present)
        return tokens if self.classes is None else tokens + self.classes


class TextTokens(nn.Module):
    """Token ids, then a transformer. No padding mask, as released: padding tokens are tokens."""

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
        """Captions to int64 [B, max_length]; loads the word pieces from disk where there is no vocabulary."""
        if self.config.vocabulary is None:
            return _word_pieces(self.config.max_length)
        token_of = {word: token for token, word in enumerate(self.config.vocabulary, start=2)}

        def tokenize(captions: Sequence[str]) -> Tensor:
            rows = [[token_of.get(w, UNKNOWN) for w in words(text)][: self.config.max_length] for text in captions]
            return torch.tensor([row + [PAD] * (self.config.max_length - len(row)) for row in rows])

        return tokenize

    def forward(self, captions: Sequence[str]) -> Tensor:
        """Tokens [B, max_length, width] of B captions."""
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
