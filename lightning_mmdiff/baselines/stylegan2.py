"""StyleGAN2 (Karras et al., CVPR 2020): the generator of faces that TediGAN inverts, and its training.

Deviation: no path length regularization (Sec. 3.2), as in StyleGAN2-ADA's settings for 32 pixels. At paper the published
weights are used, and nothing is trained here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mmdiff import seeding
from lightning_mmdiff.baselines.adversarial import AdversarialConfig, AdversarialModel, Example, Noise, frozen_call
from lightning_mmdiff.baselines.losses import cross_entropy
from lightning_mmdiff.baselines.stylegan2_layers import (
    EqualizedConvolution,
    EqualizedLinear,
    StyledLayer,
    ToRGB,
    activate,
    doubled,
)
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions

LAZY = 16 / 17
"""Factor of the discriminator's rate and exponent of its betas, as R1 is computed at each 16th step only (App. B)."""


@dataclass(frozen=True, kw_only=True)
class StyleGAN2Config(AdversarialConfig):
    """Architecture and losses; the defaults are configuration F of FFHQ (Table 1, App. B)."""

    image_size: int = 1024
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64, 32)
    """Channels at 4 pixels, 8 pixels and so on."""
    style_dim: int = 512
    mapping_layers: int = 8
    mixing: float = 0.9
    """Probability that the styles of an image come from two draws."""
    r1_weight: float = 10.0
    """Weight gamma of the gradient penalty on real images."""
    r1_every: int = 16
    """Number of steps between two penalties."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-3, betas=(0.0, 0.99))
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(lr=2e-3 * LAZY, betas=(0.0, 0.99**LAZY))
    helper_prefix = "generator."

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "channels", "style_dim", "mapping_layers", "r1_every")
        self._at_least(0, "r1_weight")
        self._shares("mixing")
        if self.image_size != 2 ** (len(self.channels) + 1):
            raise UserError(f"{len(self.channels)} sizes from 4 pixels on do not end at {self.image_size} pixels.")

    def build(self, *, seed: int) -> "StyleGAN2":
        """Build both networks."""
        return StyleGAN2(self, seed=seed)

    def build_helper(self, *, seed: int, **helpers: Any) -> "StyleGenerator":
        """Build the generator alone."""
        return StyleGenerator(self)


class StyleGenerator(nn.Module):
    """Mapping from noise to styles, and synthesis of an image from one style for each of L layers (Fig. 2, Fig. 7)."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        widths, dim = config.channels, config.style_dim
        self.style_dim, self.num_styles = dim, 2 * len(widths)
        self.mapping = nn.ModuleList(EqualizedLinear(dim, dim, rate=0.01) for _ in range(config.mapping_layers))
        self.constant = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.layers = nn.ModuleList([StyledLayer(widths[0], widths[0], dim, doubles=False)])
        for a, b in zip(widths, widths[1:]):
            self.layers += [StyledLayer(a, b, dim, doubles=True), StyledLayer(b, b, dim, doubles=False)]
        self.to_rgb = nn.ModuleList(ToRGB(width, dim) for width in widths)
        self.sizes = tuple(4 * 2 ** ((i + 1) // 2) for i in range(len(self.layers)))
        for i, size in enumerate(self.sizes):
            self.register_buffer(f"noise_{i}", torch.zeros(1, 1, size, size))

    def style(self, z: Tensor) -> Tensor:
        """Return the style w [B, D] of noise z [B, D]."""
        w = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            w = activate(layer(w))
        return w

    def mean_style(self, count: int = 4096) -> Tensor:
        """Return the mean style of ``count`` draws, [D]; always the same draws."""
        z = torch.randn(count, self.style_dim, generator=torch.Generator().manual_seed(0), device="cpu")
        return self.style(z.to(self.constant)).mean(dim=0)

    def forward(self, styles: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Return images [B, 3, S, S], about in [-1, 1].

        Args:
            styles: one for each layer, [B, L, D]; the size with number i > 0 uses those from 2 i - 1 to 2 i + 1.
            noise: for each convolution, [B or 1, 1, s, s]; by default what is stored with the weights.
        """
        noise = [getattr(self, f"noise_{i}") for i in range(len(self.sizes))] if noise is None else noise
        x = self.layers[0](self.constant.expand(len(styles), -1, -1, -1), styles[:, 0], noise[0])
        image = self.to_rgb[0](x, styles[:, 1])
        for k in range(1, len(self.to_rgb)):
            for i in (2 * k - 1, 2 * k):
                x = self.layers[i](x, styles[:, i], noise[i])
            image = doubled(image) + self.to_rgb[k](x, styles[:, 2 * k + 1])
        return image


class HalvingBlock(nn.Module):
    """Residual block of the discriminator (Fig. 7c)."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.first = EqualizedConvolution(width_in, width_in, 3)
        self.second = EqualizedConvolution(width_in, width_out, 3, halves=True)
        self.shortcut = EqualizedConvolution(width_in, width_out, 1, halves=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width_out, s / 2, s / 2] for x [B, width_in, s, s]."""
        return (activate(self.second(activate(self.first(x)))) + self.shortcut(x)) / math.sqrt(2)


class StyleDiscriminator(nn.Module):
    """Residual blocks down to 4 pixels, the deviation within groups of images, and two linear layers."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        widths = tuple(reversed(channels))
        self.first = EqualizedConvolution(3, widths[0], 1)
        self.blocks = nn.ModuleList(HalvingBlock(a, b) for a, b in zip(widths, widths[1:]))
        self.last = EqualizedConvolution(widths[-1] + 1, widths[-1], 3)
        self.hidden = EqualizedLinear(16 * widths[-1], widths[-1])
        self.logit = EqualizedLinear(widths[-1], 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [B, 1] of images [B, 3, S, S]."""
        x = activate(self.first(image))
        for block in self.blocks:
            x = block(x)
        x = activate(self.last(torch.cat([x, group_deviation(x)], dim=1)))
        return self.logit(activate(self.hidden(x.flatten(1))))


def group_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Return the mean standard deviation within groups of at most ``group`` images, [B, 1, h, w], for x [B, C, h, w]."""
    group = math.gcd(group, len(x))
    groups = x.unflatten(0, (group, -1))  # [group, B / group, C, h, w]
    deviation = (groups.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # [B / group]
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])


class StyleGAN2(AdversarialModel):
    """StyleGAN2 without conditions: logistic loss, and R1 on real images at each 16th step."""

    config: StyleGAN2Config
    generator: StyleGenerator

    def build_networks(self) -> None:
        """Set generator and discriminator."""
        self.generator = StyleGenerator(self.config)
        self.discriminator = StyleDiscriminator(self.config.channels)

    def condition(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return an empty condition, [B, 0, S, S]."""
        return like[:, :0]

    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return images [B, 3, S, S] of one style each, with the stored noise."""
        w = self.generator.style(noise(self.generator.style_dim))
        return self.generator(w[:, None].expand(-1, self.generator.num_styles, -1))

    def training_fake(self, count: int, generator: torch.Generator) -> Tensor:
        """Return images [B, 3, S, S], most of them of two styles that change at a random layer (Karras et al. 2019, Sec. 3.1)."""
        network, noise = self.generator, self.noise(count, generator)
        first, second = (network.style(noise(network.style_dim)) for _ in range(2))
        last = network.num_styles
        crossing = 1 + seeding.randint(last - 1, count, generator)
        mixed = seeding.rand((count,), generator) < self.config.mixing
        crossing = torch.where(mixed, crossing, last).to(self.device)
        own = torch.arange(last, device=self.device) < crossing[:, None]  # [B, L]
        styles = torch.where(own[:, :, None], first[:, None], second[:, None])
        return network(styles, [noise(1, size, size) for size in network.sizes])

    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the logistic loss of generated images taken for real ones."""
        return cross_entropy(frozen_call(self.discriminator, self.training_fake(len(example.image), generator)), True)

    def discriminator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the logistic loss on new images and, at each 16th step of a training, 16 times R1."""
        with torch.no_grad():
            fake = self.training_fake(len(example.image), generator)
        penalized = self.training and self.config.r1_weight > 0 and self.step % self.config.r1_every == 0
        real = example.image.detach().requires_grad_(penalized)
        on_real = self.discriminator(real)
        loss = cross_entropy(self.discriminator(fake), False) + cross_entropy(on_real, True)
        if not penalized:
            return loss
        return loss + self.config.r1_every * self.config.r1_weight / 2 * gradient_penalty(on_real, real)


def gradient_penalty(logits: Tensor, real: Tensor) -> Tensor:
    """Return R1, the mean squared gradient of logits [B, 1] with respect to images [B, 3, S, S] (Mescheder et al. 2018)."""
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
