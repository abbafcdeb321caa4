"""TediGAN (Xia et al., CVPR 2021 and arXiv 2104.08910): masks and texts become styles of one StyleGAN2, which are mixed.

A mask is encoded (pSp, trained on pairs of masks and faces under a frozen generator). A text moves the mean style until an
image-text model finds that image and text agree. The coarse layers take the mask's styles, the others the text's. Neither
paper that compares with TediGAN published a script for mask and text together; the split, 8 of 18 layers, is the authors'
control mechanism.

Deviations: AdamW in place of Ranger, which PyTorch does not have; images are normalized for the image-text model as it was
trained, the released code leaves this out; no VGG16 features in the optimization, whose published weight is 5e-5.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from lightning import LightningModule
from torch import Tensor, nn

from lightning_mmdiff import images, seeding
from lightning_mmdiff.baselines.labels import LabelMaps, num_classes, one_hot
from lightning_mmdiff.baselines.perceptual import Perceptual
from lightning_mmdiff.baselines.pyramid_encoder import PyramidConfig, PyramidEncoder
from lightning_mmdiff.baselines.stylegan2 import StyleGenerator
from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.metrics.lpips import LPIPS
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.contrastive import number_captions
from lightning_mmdiff.models.training import SupervisedModel, summed
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


@dataclass(frozen=True, kw_only=True)
class MaskEncoderConfig(ModelConfig):
    """Architecture and loss; the defaults are the published values for masks of faces (pSp, App. A)."""

    image_size: int
    """Height and width in pixels of masks, and of images where the loss compares them."""
    labels: LabelMaps
    """The maps whose channels are the classes."""
    network: PyramidConfig = PyramidConfig()
    perceptual: Literal["alexnet", "effnet-lite0"] = "alexnet"
    """Network of the perceptual distance: LPIPS with AlexNet, or one that needs no download."""
    pixel_weight: float = 1.0
    perceptual_weight: float = 0.8
    style_weight: float = 0.005
    """Weight of the distance of the styles from the mean style."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=1e-4)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "image_size")
        self._at_least(0, "pixel_weight", "perceptual_weight", "style_weight")

    def build(self, *, seed: int, decoder: StyleGenerator) -> "MaskEncoder":
        """Build the encoder for a frozen generator."""
        return MaskEncoder(self, decoder=decoder, seed=seed)

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Name of the perceptual network's file."""
        return ("alexnet",) if self.perceptual == "alexnet" else ()

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """Every map: training pairs are complete."""
        return tuple(name for name, _ in self.labels)

    @property
    def pixels(self) -> int:
        """Height and width of the training images."""
        return self.image_size


class MaskEncoder(SupervisedModel):
    """Encoder from label maps to styles, trained so that the generator gives the mask's image back."""

    unsaved = ("decoder", "perceptual")
    mean_style: Tensor

    def __init__(self, config: MaskEncoderConfig, *, decoder: StyleGenerator, seed: int) -> None:
        super().__init__(config.optimizer, seed=seed)
        if decoder.style_dim != config.network.widths[-1]:
            raise UserError(
                f"The generator's styles have {decoder.style_dim} numbers; the encoder's last width is "
                f"{config.network.widths[-1]}."
            )
        self.config = config
        self.decoder = decoder.requires_grad_(False).eval()
        with torch.no_grad():
            self.register_buffer("mean_style", decoder.mean_style())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            classes = num_classes(config.labels)
            self.encoder = PyramidEncoder(config.network, classes, config.image_size, decoder.num_styles)
        self.perceptual: nn.Module = LPIPS().network if config.perceptual == "alexnet" else Perceptual("effnet-lite0")

    def train(self, mode: bool = True) -> "MaskEncoder":
        """Set the encoder's mode; generator and perceptual network stay in evaluation mode."""
        super().train(mode)
        self.decoder.eval()
        self.perceptual.eval()
        return self

    def styles(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return the styles [B, L, D] of label maps; ``like`` [B, 3, S, S] gives size and device."""
        return self.mean_style + self.encoder(one_hot(conditions, self.config.labels, like))

    def decode(self, styles: Tensor) -> Tensor:
        """Return images [B, 3, S, S], about in [-1, 1], for styles [B, L, D]; larger images are averaged to that size."""
        return F.adaptive_avg_pool2d(self.decoder(styles), self.config.image_size)

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the sum of the parts of ``losses``, a scalar."""
        return self.losses(batch, generator)["loss"]

    def losses(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return distances of pixels, of features and of the styles from their mean, with their weights, and the sum."""
        config, image = self.config, images.to_float(batch["image"])
        styles = self.styles(batch["conditions"], image)
        made = self.decode(styles)
        far = (styles - self.mean_style).flatten(1).norm(dim=1).mean()
        return summed(
            {
                "pixels": config.pixel_weight * F.mse_loss(made, image),
                "perceptual": config.perceptual_weight * self.perceptual(made, image).mean(),
                "styles": config.style_weight * far,
            }
        )


@dataclass(frozen=True, kw_only=True)
class TextSearch(Config):
    """Optimization of the styles for a text; the defaults are the released options and those of their example."""

    num_steps: int = 200
    lr: float = 0.1
    text_weight: float = 200.0
    """Weight of 1 - cosine of image and text."""
    pixel_weight: float = 1.0
    """Weight of the mean squared difference from the image of the mean style."""
    style_weight: float = 2.0
    """Weight of the mean squared difference from the mean style."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "num_steps")
        self._positive("lr")
        self._at_least(0, "text_weight", "pixel_weight", "style_weight")


@dataclass(frozen=True, kw_only=True)
class TediGAN(MethodConfig):
    """Faces from a mask, and from a text if there is an image-text model."""

    takes_sampler: ClassVar[bool] = False
    encoder: ModelSource
    embedder: ModelSource | None = None
    """Image-text model that tells whether image and text agree; None uses the mask alone."""
    mask_share: float = 8 / 18
    """Share of the layers, coarse ones, that the mask decides if something else decides the others."""
    random_rest: bool = False
    """Without a text: whether the other layers take the styles of a random face, as pSp's authors mix them, or the mask's."""
    search: TextSearch = TextSearch()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shares("mask_share")

    @property
    def calls_per_step(self) -> int:
        """Number of network evaluations per image: the encoder's, and for a text the search's, each with a backward pass."""
        return 1 + (3 * self.search.num_steps if self.embedder else 0)

    def build(self, trained: Trained, *, sampler: Sampler | None, seed: int) -> "MaskAndTextToFace":
        """Build the module that makes the images; only styles of random faces are drawn from ``seed``."""
        encoder, embedder = trained(self.encoder), trained(self.embedder) if self.embedder else None
        return MaskAndTextToFace(self, encoder, embedder, seed=seed)


class MaskAndTextToFace(LightningModule):
    """Styles of the mask in the coarse layers and of the text, or of a random face, in the others."""

    def __init__(self, config: TediGAN, encoder: MaskEncoder, embedder: Any, *, seed: int) -> None:
        super().__init__()
        self.config, self.encoder, self.embedder, self.sampling_seed = config, encoder, embedder, seed

    @torch.inference_mode()
    def predict_step(self, batch: Mapping[str, Any], batch_idx: int = 0) -> Tensor:
        """Make one image for each item, uint8 [B, 3, S, S]; a random face depends on (seed, index) alone."""
        size, conditions = self.encoder.config.image_size, batch["conditions"]
        like = torch.empty(len(batch["index"]), 3, size, size, device=self.device)
        styles = self.encoder.styles(conditions, like)
        rest = styles
        if self.embedder is not None:
            captions, numbers = number_captions(conditions["caption"])
            rest = self.text_styles(captions)[numbers]
        elif self.config.random_rest:
            rest = self.random_styles(batch["index"])
        first = round(self.config.mask_share * styles.shape[1])
        styles = torch.cat([styles[:, :first], rest[:, first:]], dim=1)
        return images.to_uint8(self.encoder.decode(styles)).cpu()

    def random_styles(self, index: Tensor) -> Tensor:
        """Return the styles [B, L, D] of random faces, one style for all layers of a face, for image numbers int64 [B]."""
        decoder = self.encoder.decoder
        draws = (seeding.image_generator(self.sampling_seed, int(i)) for i in index)
        z = torch.stack([torch.randn(decoder.style_dim, generator=g) for g in draws])
        return decoder.style(z.to(self.device))[:, None].expand(-1, decoder.num_styles, -1)

    def text_styles(self, captions: Sequence[str]) -> Tensor:
        """Return styles [B, L, D] whose images the image-text model finds to agree with the captions."""
        config, encoder = self.config.search, self.encoder
        with torch.inference_mode(False), torch.enable_grad():  # autograd cannot save inference-mode tensors
            start = encoder.mean_style.expand(len(captions), encoder.decoder.num_styles, -1).clone()
            with torch.no_grad():
                text, before = self.embedder.embed_text(captions), encoder.decode(start[:1])
            styles = start.clone().requires_grad_()
            optimizer = torch.optim.Adam([styles], lr=config.lr)
            for step in range(config.num_steps):
                optimizer.param_groups[0]["lr"] = config.lr * rate(step / config.num_steps)
                image = encoder.decode(styles)
                agreement = (self.embedder.embed_pixels(image) * text).sum(dim=1)  # cosine
                loss = config.text_weight * (1 - agreement).sum()
                loss = loss + config.pixel_weight * (image - before).square().mean(dim=(1, 2, 3)).sum()
                loss = loss + config.style_weight * (styles - start).square().mean(dim=(1, 2)).sum()
                (styles.grad,) = torch.autograd.grad(loss, styles)
                optimizer.step()
            return styles.detach()


def rate(progress: float) -> float:
    """Return the factor of the rate at ``progress`` in [0, 1): a rise over 5 %, and a cosine fall over the last 25 %."""
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - progress) / 0.25))
    return fall * min(1.0, progress / 0.05)
