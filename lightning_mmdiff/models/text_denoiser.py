"""A diffusion model given a text: GLIDE (Nichol et al. 2022), from text to 64 pixels, and from 64 pixels to 256.

Unite and Conquer (CVPR 2023, Sec. 4.4, Table 3) unites the first with a class-conditional ADM. It is ADM's network, whose
attention also reads the vectors of a text transformer that is trained with it; its interface is that of ``Denoiser``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff import seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.models.diffusion import Encoded
from lightning_mmdiff.networks.text_encoder import TextEncoder, TextEncoderConfig
from lightning_mmdiff.sampling import Conditions


@dataclass(frozen=True, kw_only=True)
class TextDenoiserConfig(DenoiserConfig):
    """Architecture and loss of a diffusion model given a text and, for an upsampler, the small image as a map."""

    text: TextEncoderConfig
    drop_probability: float = 0.2
    """Fraction of training images whose text is left empty, as in GLIDE."""

    def build(self, *, seed: int) -> "TextDenoiser":  # type: ignore[override]
        """Build the model."""
        return TextDenoiser(self, seed=seed)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("drop_probability")
        if self.network.context_dim != self.text.width:
            raise UserError(
                f"The network reads text of width {self.network.context_dim}; the transformer gives {self.text.width}."
            )
        if self.conditions.embedding or self.subsets:
            raise UserError(
                "A model given a text takes no embedding and no subsets: drop_probability leaves texts empty."
            )

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Names of the tokenizer's files."""
        return ("gpt2_tokenizer",)

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """Conditions that training batches must contain."""
        return (*super().required_conditions, self.text.source)


class TextDenoiser(Denoiser):
    """A diffusion model in pixel space, p(z | text, other conditions)."""

    config: TextDenoiserConfig

    def __init__(self, config: TextDenoiserConfig, *, seed: int = 0) -> None:
        """Build the network; ``seed`` determines its initial weights, timesteps, noise and emptied texts."""
        super().__init__(config, seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.text = TextEncoder(config.text)
        self.condition_names = (*config.conditions.names, config.text.name)
        self.own_tokens = config.text.name

    def embed(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the conditions of a training batch, with the vectors of its texts."""
        return dict(self.encode_conditions(batch.get("conditions", {})))

    def encode_conditions(self, conditions: Conditions) -> Conditions:
        """Add the vectors of the texts, [B, L, D], if the batch contains texts."""
        name, source = self.config.text.name, self.config.text.source
        if source not in conditions or name in conditions:
            return conditions
        return {**conditions, name: self.text(conditions[source])}

    def encode(self, conditions: Conditions, batch_size: int) -> Encoded:
        """Encode the conditions this model knows, with the vectors of its texts, or of the empty text, as the embedding."""
        name = self.config.text.name
        vectors = conditions[name] if name in conditions else self.text.empty().expand(batch_size, -1, -1)
        return replace(super().encode(conditions, batch_size), embedding=vectors)

    def _drop(self, conditions: Conditions, batch_size: int, generator: torch.Generator) -> Conditions:
        """Leave the text of a random share of the images empty."""
        name = self.config.text.name
        keep = seeding.rand((batch_size,), generator).to(self.device) >= self.config.drop_probability
        kept: Tensor = torch.where(keep.view(-1, 1, 1), conditions[name], self.text.empty())
        return {**conditions, name: kept}
