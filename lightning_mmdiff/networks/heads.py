"""Encoders E_i into the diffusion space and heads D_i on the shared U-Net (MT-Diffusion, Sec. 2.2.4 and App. E).

An encoder maps the data of a modality to [B, C, H, W] of the diffusion space; a head maps ``Features`` to the data space.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.networks.blocks import GroupNorm, zero
from lightning_mmdiff.networks.classifier import Classifier, ClassifierConfig
from lightning_mmdiff.networks.conditions import NULL_CLASS
from lightning_mmdiff.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class Features:
    """Activations that the heads may read from one pass of the shared U-Net."""

    raw: Tensor  # output of the network, followed by the learned variance if there is one, [B, C or 2C, H, W]
    output: Tensor  # output without the variance, [B, C, H, W]
    hidden: Tensor  # before the output block, [B, output_width, H / patch_size, W / patch_size]
    middle: Tensor  # after the middle block, [B, middle_channels, h, w]
    t: Tensor  # timesteps, [B]


class OutputBlock(nn.Module):
    """Second output block of the U-Net: group norm, SiLU, convolution (App. E.1, E.2); starts at zero like the first."""

    def __init__(self, network: NetworkConfig, out_channels: int) -> None:
        super().__init__()
        self.patch_size = network.patch_size
        self.norm = GroupNorm(network.norm_groups, network.output_width)
        self.conv = zero(nn.Conv2d(network.output_width, out_channels * self.patch_size**2, 3, padding=1))

    def forward(self, features: Features) -> Tensor:
        """Map features to [B, out_channels, H, W]."""
        h = self.conv(F.silu(self.norm(features.hidden)))
        return F.pixel_shuffle(h, self.patch_size).to(features.output.dtype)


class MiddleLinear(nn.Module):
    """Fully connected layer on the middle block's output, averaged over positions (MT-Diffusion-M, App. E.3)."""

    def __init__(self, network: NetworkConfig, out_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(network.middle_channels, out_dim)

    def forward(self, features: Features) -> Tensor:
        """Map features to [B, out_dim]."""
        return self.linear(features.middle.mean(dim=(2, 3)))


class MiddleMLP(nn.Module):
    """Two layers on the middle block's output, averaged over positions (App. E.4: width 1024, ReLU)."""

    def __init__(self, network: NetworkConfig, width: int, out_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(network.middle_channels, width), nn.ReLU(), nn.Linear(width, out_dim))

    def forward(self, features: Features) -> Tensor:
        """Map features to [B, out_dim]."""
        return self.layers(features.middle.mean(dim=(2, 3)))


class OutputClassifier(nn.Module):
    """ADM's classifier on the U-Net's output, whatever the U-Net predicts (MT-Diffusion-E, App. E.3)."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.classifier = Classifier(config)

    def forward(self, features: Features) -> Tensor:
        """Map features to logits, [B, num_classes]."""
        return self.classifier(features.output, features.t)


class Identity(nn.Module):
    """Encoder of a modality whose data space is the diffusion space (Fig. 3, choice 1)."""

    def forward(self, x: Tensor, network: Network) -> Tensor:
        """Return ``x``, [B, C, H, W], unchanged."""
        return x


class NetworkEncoder(nn.Module):
    """Shared U-Net on a zero image at t = 0, with the modality as its class or embedding (choice 3, App. E.3, E.4).

    No gradient flows through it: the paper's encoders have no trainable parameters of their own (Fig. 3 stops gradients),
    and a trained one would learn to write the answer into z_t. Classes therefore keep their initial random embedding unless
    the network is given the class elsewhere. The first C channels of the output are E.

    With ``renew_every``, only one in that many training steps encodes classes, in turn, as many as a device has images; the
    other steps use the stored encodings (zeros before a class's first turn). Otherwise, and always outside training, inputs
    are encoded by the current network.
    """

    steps: Tensor
    encodings: Tensor

    def __init__(
        self, shape: tuple[int, int, int], *, classes: int | None = None, renew_every: int | None = None
    ) -> None:
        """Set what is encoded and how often.

        Args:
            shape: [C, H, W] of the diffusion space.
            classes: number of labels; None for embeddings.
            renew_every: number of training steps from one that encodes classes to the next, at least 1; None encodes all
                inputs in every step.
        """
        super().__init__()
        self.shape, self.classes, self.renew_every = shape, classes, renew_every
        if classes is not None and renew_every is not None:
            self.register_buffer("encodings", torch.zeros(classes, *shape))
            # training steps so far; they decide what is computed, so they need a value even on the meta device
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device="cpu"))

    @torch.no_grad()
    def forward(self, x: Tensor, network: Network) -> Tensor:
        """Encode probabilities [B, num_classes] (by the likeliest class; zeros mean no class) or embeddings [B, D] as E."""
        none = torch.full((len(x),), NULL_CLASS, device=x.device)
        if self.classes is None:
            return self._encode(network, len(x), x, None if network.config.num_classes is None else none)
        if self.training and self.renew_every is not None:
            self._renew(network, self.renew_every, min(len(x), self.classes))
            return self.encodings[x.argmax(dim=1)] * x.any(dim=1).view(-1, 1, 1, 1)
        labels = torch.where(x.any(dim=1), x.argmax(dim=1), none)
        every = torch.arange(NULL_CLASS, self.classes, device=x.device)
        if len(every) < len(labels):  # encode each class once
            return self._encode(network, len(every), None, every)[labels - NULL_CLASS]
        return self._encode(network, len(x), None, labels)

    def _renew(self, network: Network, every: int, count: int) -> None:
        """Encode the next ``count`` classes with the current network if they are due, and count the step."""
        turn, rest = divmod(int(self.steps), every)
        if rest == 0:
            classes = (turn * count + torch.arange(count, device=self.encodings.device)) % len(self.encodings)
            self.encodings[classes] = self._encode(network, count, None, classes).to(self.encodings.dtype)
        self.steps.add_(1)

    def _encode(self, network: Network, count: int, embedding: Tensor | None, labels: Tensor | None) -> Tensor:
        """Call the network in evaluation mode: dropout would make the encoding of a class random in training."""
        weight, training = next(network.parameters()), network.training
        image = weight.new_zeros(count, network.config.in_channels, *self.shape[1:])
        t = torch.zeros(1, dtype=torch.int64, device=weight.device)
        try:
            return network.eval().forward_with_features(image, t, embedding, labels)[0][:, : self.shape[0]]
        finally:
            network.train(training)


class CoarseEncoder(nn.Module):
    """Learned linear map to a coarse picture, then enlarged: a table of classes, or a projection of an embedding.

    Not in the paper, whose encoders have no parameters of their own; far cheaper than a pass of the U-Net.
    """

    size = 8  # pixels, height and width of the coarse picture

    def __init__(self, in_dim: int, shape: tuple[int, int, int]) -> None:
        """Build for ``in_dim`` classes, or an embedding of that width; ``shape`` is [C, H, W] of the diffusion space."""
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(in_dim, shape[0] * self.size**2, bias=False)

    def forward(self, x: Tensor, network: Network) -> Tensor:
        """Encode probabilities or embeddings, [B, in_dim] -> [B, C, H, W]; uncertain classes give the expected E."""
        coarse = self.linear(x).unflatten(1, (self.shape[0], self.size, self.size))
        return F.interpolate(coarse, size=self.shape[1:], mode="bilinear").to(x.dtype)
