"""FaRL, the CLIP for faces that Unite and Conquer conditions on (supplement 7.3), from local weights.

FaRL (Zheng et al. 2022) is a CLIP ViT-B/16 (Radford et al. 2021). The released file names its entries as OpenAI's CLIP
does; they are renamed to those of transformers' ``CLIPModel``. As in the released code of Unite and Conquer, embeddings
have unit length, and the image is resized to 224 pixels, bilinearly without antialiasing, and normalized with CLIP's mean
and standard deviation. Other CLIPs get images resized as CLIP's own code does: bicubic with antialiasing.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from lightning_mmdiff import weights
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.networks.clip_input import Resize, bicubic, bilinear, normalize

Tokenize = Callable[[Sequence[str]], Tensor]
"""Function from captions to tokens, int64 [B, L]; each row contains the end token."""


@dataclass(frozen=True, kw_only=True)
class ClipSize(Config):
    """Architecture of a CLIP with a vision transformer; the defaults are ViT-B/16, the size of FaRL."""

    image_size: int = 224
    """Height and width in pixels."""
    patch_size: int = 16
    """Height and width in pixels."""
    vision_width: int = 768
    vision_layers: int = 12
    vision_heads: int = 12
    text_width: int = 512
    text_layers: int = 12
    text_heads: int = 8
    context_length: int = 77
    """Number of tokens, including start and end."""
    vocabulary_size: int = 49408
    embedding_dim: int = 512
    """D, length of an embedding."""
    end_token: int = 49407
    """Token whose first occurrence is the position of the text's embedding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "patch_size", "vision_layers", "vision_heads", "text_layers", "text_heads", "embedding_dim")
        self._at_least(1, "end_token")  # the start token is the one before it
        self._at_least(2, "context_length")
        self._multiples(self.patch_size, "image_size")
        self._multiples(self.vision_heads, "vision_width")
        self._multiples(self.text_heads, "text_width")
        if self.end_token >= self.vocabulary_size:
            raise UserError(f"end_token {self.end_token} is outside the vocabulary of {self.vocabulary_size} tokens.")


def clip_model(size: ClipSize) -> CLIPModel:
    """Build a CLIP with random weights."""
    common: dict[str, Any] = {"hidden_act": "quick_gelu", "projection_dim": size.embedding_dim}
    text = {
        "hidden_size": size.text_width,
        "intermediate_size": 4 * size.text_width,
        "num_hidden_layers": size.text_layers,
        "num_attention_heads": size.text_heads,
        "max_position_embeddings": size.context_length,
        "vocab_size": size.vocabulary_size,
        "bos_token_id": size.end_token - 1,
        "eos_token_id": size.end_token,
        "pad_token_id": size.end_token,
    }
    vision = {
        "hidden_size": size.vision_width,
        "intermediate_size": 4 * size.vision_width,
        "num_hidden_layers": size.vision_layers,
        "num_attention_heads": size.vision_heads,
        "image_size": size.image_size,
        "patch_size": size.patch_size,
    }
    config = CLIPConfig(text_config=common | text, vision_config=common | vision, projection_dim=size.embedding_dim)
    return CLIPModel(config).eval()


_RENAMED = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # sic: transformers spells it so
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "logit_scale": "logit_scale",
}
_TRANSPOSED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_LAYER = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"} | {
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")


def convert_openai_clip(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename the entries of an OpenAI CLIP to those of transformers' ``CLIPModel``.

    OpenAI keeps query, key and value in one matrix [3D, D], and multiplies by its two projections from the right.

    Args:
        state: entries of an OpenAI CLIP with a vision transformer, in any float type.

    Returns:
        Entries of ``CLIPModel`` in float32, and the names in ``state`` that CLIP does not have.
    """
    converted: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, value in state.items():
        block = _BLOCK.fullmatch(name)
        if name in _RENAMED:
            converted[_RENAMED[name]] = value.float()
        elif name in _TRANSPOSED:
            converted[_TRANSPOSED[name]] = value.float().T.contiguous()
        elif block and block[3] == "attn.in_proj":
            for part, rows in zip("qkv", value.float().chunk(3)):
                converted[f"{_prefix(block)}.self_attn.{part}_proj.{block[4]}"] = rows.contiguous()
        elif block and block[3] in _LAYER:
            converted[f"{_prefix(block)}.{_LAYER[block[3]]}.{block[4]}"] = value.float()
        else:
            unknown.append(name)
    return converted, unknown


def _prefix(block: re.Match[str]) -> str:
    return f"{'vision' if block[1] else 'text'}_model.encoder.layers.{block[2]}"


def load_openai_clip(model: CLIPModel, state: Mapping[str, Tensor], source: str) -> None:
    """Load the entries of an OpenAI CLIP into ``model``.

    Other users of FaRL's file ignore entries that CLIP lacks, so these only cause a warning here; an entry of CLIP that
    is missing, has another shape, or belongs to a layer that ``model`` lacks is an error.

    Raises:
        UserError: if entries do not fit; names the first of them.
    """
    converted, unknown = convert_openai_clip(state)
    ours = model.state_dict()
    problems = [
        ("missing", sorted(ours.keys() - converted.keys())),
        ("of layers beyond ours", sorted(converted.keys() - ours.keys())),
        ("of another shape", sorted(k for k in ours.keys() & converted.keys() if ours[k].shape != converted[k].shape)),
    ]
    found = [f"{len(names)} {what} (first: {', '.join(names[:3])})" for what, names in problems if names]
    if found:
        raise UserError(f"{source} is not the CLIP expected (transformers' names): {'; '.join(found)}.")
    if unknown:
        warnings.warn(
            f"{source}: {len(unknown)} entries are not CLIP's and were left out: {unknown[:3]}.", stacklevel=2
        )
    model.load_state_dict(converted, strict=True)


class ClipEmbedder(nn.Module):
    """Frozen CLIP with the two functions that conditioning needs; same interface as ``ContrastiveModel``."""

    def __init__(self, model: CLIPModel, tokenize: Tokenize, resize: Resize) -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval()
        self.tokenize, self.resize = tokenize, resize

    @property
    def embedding_dim(self) -> int:
        """Length of an embedding."""
        return self.model.config.projection_dim

    def train(self, mode: bool = True) -> "ClipEmbedder":
        """Stay in evaluation mode, whatever the mode of the surrounding model."""
        return super().train(False)

    @torch.no_grad()
    def embed_images(self, image: Tensor) -> Tensor:
        """Return unit vectors [B, D] of images, uint8 [B, 3, S, S]."""
        return self._embed(image.float() / 255)

    def embed_pixels(self, x: Tensor) -> Tensor:
        """Return unit vectors [B, D] of images in model range, float [B, 3, S, S], with gradient."""
        return self._embed((x + 1) / 2)

    def _embed(self, image: Tensor) -> Tensor:
        """Return unit vectors [B, D] of images in [0, 1], float [B, 3, S, S]."""
        pixels = normalize(self.resize(image, self.model.config.vision_config.image_size))
        features = self.model.vision_model(pixel_values=pixels.to(self.model.dtype)).pooler_output
        return F.normalize(self.model.visual_projection(features).float(), dim=-1)

    @torch.no_grad()
    def embed_text(self, captions: Sequence[str]) -> Tensor:
        """Return unit vectors [B, D] of captions; text beyond the context length is ignored."""
        features = self.model.text_model(input_ids=self.tokenize(captions).to(self.model.device)).pooler_output
        return F.normalize(self.model.text_projection(features).float(), dim=-1)


def clip_tokenizer(folder: Path, context_length: int = 77) -> Tokenize:
    """Return CLIP's byte-pair tokenizer from a folder with ``vocab.json`` and ``merges.txt``.

    Raises:
        MissingFileError: if either file is missing.
    """
    missing = [name for name in ("vocab.json", "merges.txt") if not (folder / name).is_file()]
    if missing:
        raise MissingFileError(
            f"{folder} has no {' and no '.join(missing)}. CLIP's tokenizer needs vocab.json and merges.txt of any "
            "OpenAI CLIP (all have the same), such as the Hugging Face model openai/clip-vit-base-patch32."
        )
    tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)

    def tokenize(captions: Sequence[str]) -> Tensor:
        encoded = tokenizer(
            list(captions), padding=True, truncation=True, max_length=context_length, return_tensors="pt"
        )
        return encoded["input_ids"]

    return tokenize


def load_clip(folder: Path) -> ClipEmbedder:
    """Load a CLIP of any size, with its tokenizer, from a folder in Hugging Face's format."""
    return ClipEmbedder(CLIPModel.from_pretrained(str(folder), local_files_only=True), clip_tokenizer(folder), bicubic)


def load_farl() -> ClipEmbedder:
    """Load FaRL from the user's weights; its tokenizer is CLIP's, from the folder of the CLIP that scores text."""
    path = weights.require("farl")
    tokenize = clip_tokenizer(weights.require("clip"))
    stored = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(stored, dict) or "state_dict" not in stored:
        found = f"the entries {sorted(stored)[:3]}" if isinstance(stored, dict) else f"a {type(stored).__name__}"
        raise UserError(f"{path} holds {found}; a released FaRL file holds its weights under 'state_dict'.")
    model = clip_model(ClipSize())
    load_openai_clip(model, stored["state_dict"], source=str(path))
    return ClipEmbedder(model, tokenize, bilinear)
