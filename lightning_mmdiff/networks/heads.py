"""Encoders E_i into the diffusion space and heads D_i on the shared U-Net (MT-Diffusion, Sec. 2.2.4 and App. E).

An encoder maps the data of a modality to [B, C, H, W] of the diffusion space, a head maps ``Features`` to the data space.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff.networks.blocks import GroupNorm, zero
from lightning_mmdiff.networks.classifier import Classifier, ClassifierConfig
from lightning_mmdiff.networks.conditions import NULL_CLASS
from lightning_mmdiff.networks.shared import SharedConfig, TokenUNet, num_classes, patch_size
from lightning_mmdiff.networks.unet import UNet

Network = UNet | TokenUNet
"""The U-Net that encoders may use."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the heads may read of one pass of the shared U-Net."""

    raw: Tensor  # output of the network, with a learned variance behind it, [B, C or 2C, H, W]
    output: Tensor  # without it, [B, C, H, W]
    hidden: Tensor  # before the output block, [B, output_width, H / patch_size, W / patch_size]
    middle: Tensor  # after the middle block, [B, middle_channels, h, w]
    t: Tensor  # timesteps, [B]


class OutputBlock(nn.Module):
    """A second output block of the U-Net: group norm, SiLU, convolution (App. E.1, E.2), starting at zero as the first."""

    def __init__(self, network: SharedConfig, out_channels: int) -> None:
        super().__init__()
        self.patch_size = patch_size(network)
        self.norm = GroupNorm(network.norm_groups, network.output_width)
        self.conv = zero(nn.Conv2d(network.output_width, out_channels * self.patch_size**2, 3, padding=1))

    def forward(self, features: Features) -> Tensor:
        """Features -> [B, out_channels, H, W]."""
        h = self.conv(F.silu(self.norm(features.hidden)))
        return F.pixel_shuffle(h, self.patch_size).to(features.output.dtype)


class MiddleLinear(nn.Module):
    """One fully connected layer on the middle block, averaged over positions (MT-Diffusion-M, App. E.3)."""

    def __init__(self, network: SharedConfig, out_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(network.middle_channels, out_dim)

    def forward(self, features: Features) -> Tensor:
        """Features -> [B, out_dim]."""
        return self.linear(features.middle.mean(dim=(2, 3)))


class MiddleMLP(nn.Module):
    """Two layers on the middle block, averaged over positions (App. E.4: width 1024, ReLU)."""

    def __init__(self, network: SharedConfig, width: int, out_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(network.middle_channels, width), nn.ReLU(), nn.Linear(width, out_dim))

    def forward(self, features: Features) -> Tensor:
        """Features -> [B, out_dim]."""
        return self.layers(features.middle.mean(dim=(2, 3)))


class OutputClassifier(nn.Module):
    """ADM's classifier on the output of the U-Net, whatever that predicts (MT-Diffusion-E, App. E.3)."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.classifier = Classifier(config)

    def forward(self, features: Features) -> Tensor:
        """Features -> logits [B, num_classes]."""
        return self.classifier(features.output, features.t)


class Identity(nn.Module):
    """The data space is the diffusion space (Fig. 3, choice 1)."""

    def forward(self, x: Tensor, network: Network) -> Tensor:
        """[B, C, H, W] -> the same."""
        return x


class NetworkEncoder(nn.Module):
    """The shared U-Net on a zero image at t = 0, with the modality as its class or embedding (choice 3, App. E.3, E.4).

    No gradient flows back through it: the paper's encoders have no trainable parameters of their own (Fig. 3 stops gradients),
    and a trained one would learn to write the answer into z_t. So classes keep their initial, random embedding unless the
    network is told the class elsewhere. The first C channels of the output are E.

    With ``renew_every`` only every so many training steps encode classes, as many as a device has images, in turn; the others
    take the encodings as they are (zeros before a class's first turn). Otherwise, and always outside training, each is encoded
    by the network as it is.
    """

    steps: Tensor
    encodings: Tensor

    def __init__(
        self, shape: tuple[int, int, int], *, classes: int | None = None, renew_every: int | None = None
    ) -> None:
        """Choose what is encoded.

        Args:
            shape: [C, H, W] of the diffusion space.
            classes: number of labels; None: embeddings.
            renew_every: training steps from one that encodes classes to the next, at least 1; None encodes all that are there
                in each step.
        """
        super().__init__()
        self.shape, self.classes, self.renew_every = shape, classes, renew_every
        if classes is not None and renew_every is not None:
            self.register_buffer("encodings", torch.zeros(classes, *shape))
            # of training, so far; decides what is computed, so it has a value on the meta device too
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device="cpu"))

    @torch.no_grad()
    def forward(self, x: Tensor, network: Network) -> Tensor:
        """Probabilities [B, num_classes] (the likeliest class is encoded; zeros are no class) or embeddings [B, D] -> E."""
        none = torch.full((len(x),), NULL_CLASS, device=x.device)
        if self.classes is None:
            return self._encode(network, len(x), x, None if num_classes(network.config) is None else none)
        if self.training and self.renew_every is not None:
            self._renew(network, self.renew_every, min(len(x), self.classes))
            return self.encodings[x.argmax(dim=1)] * x.any(dim=1).view(-1, 1, 1, 1)
        labels = torch.where(x.any(dim=1), x.argmax(dim=1), none)
        every = torch.arange(NULL_CLASS, self.classes, device=x.device)
        if len(every) < len(labels):  # each class once
            return self._encode(network, len(every), None, every)[labels - NULL_CLASS]
        return self._encode(network, len(x), None, labels)

    def _renew(self, network: Network, every: int, count: int) -> None:
        """Encode the next ``count`` classes by the network as it is now, if it is time; take note of the step."""
        turn, rest = divmod(int(self.steps), every)
        if rest == 0:
            classes = (turn * count + torch.arange(count, device=self.encodings.device)) % len(self.encodings)
            self.encodings[classes] = self._encode(network, count, None, classes).to(self.encodings.dtype)
        self.steps.add_(1)

    def _encode(self, network: Network, count: int, embedding: Tensor | None, labels: Tensor | None) -> Tensor:
        weight = next(network.parameters())
        image = weight.new_zeros(count, network.config.in_channels, *self.shape[1:])
        t = torch.zeros(1, dtype=torch.int64, device=weight.device)
        return network.forward_with_features(image, t, embedding, labels)[0][:, : self.shape[0]]


class CoarseEncoder(nn.Module):
    """A learned linear map to a coarse picture, enlarged: a table of classes, or a projection of an embedding.

    Not in the paper, whose encoders have no parameters of their own; far cheaper than a pass of the U-Net.
    """

    size = 8  # pixels, height and width of the coarse picture

    def __init__(self, in_dim: int, shape: tuple[int, int, int]) -> None:
        """``in_dim``: classes, or width of the embedding; ``shape``: [C, H, W] of the diffusion space."""
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(in_dim, shape[0] * self.size**2, bias=False)

    def forward(self, x: Tensor, network: Network) -> Tensor:
        """Probabilities or embedding, [B, in_dim] -> E, [B, C, H, W]; the expected E of uncertain classes."""
        coarse = self.linear(x).unflatten(1, (self.shape[0], self.size, self.size))
        return F.interpolate(coarse, size=self.shape[1:], mode="bilinear").to(x.dtype)
