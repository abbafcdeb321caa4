"""Settings of TediGAN: as published where its papers say, and reduced.

At paper, the generator is the published StyleGAN2 of FFHQ, and the encoder is trained as pSp's for masks, for 500,000 steps.
"""

from dataclasses import dataclass, replace

from experiments.recipes.settings.baselines import AdversarialTraining
from experiments.recipes.settings.training import Length, in_fifths
from experiments.runs import TrainerConfig
from experiments.spec import Profile
from lightning_mmdiff.baselines.pyramid_encoder import PyramidConfig
from lightning_mmdiff.baselines.stylegan2 import LAZY, StyleGAN2Config
from lightning_mmdiff.baselines.tedigan import MaskEncoderConfig, TextSearch
from lightning_mmdiff.configs import Config
from lightning_mmdiff.optimization import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Generator, encoder of masks, and the optimization for a text."""

    generator: AdversarialTraining | None
    """None: the published one."""
    encoder: MaskEncoderConfig
    """Encoder without its ``labels``, which are those of a table."""
    length: Length
    """Length of the encoder's training."""
    search: TextSearch


PAPER = Settings(
    generator=None,
    encoder=MaskEncoderConfig(image_size=256, labels=()),
    length=Length(batch_size=8, trainer=TrainerConfig(max_steps=500_000, checkpoint_every=2000)),
    search=TextSearch(),
)


def _small(image_size: int, channels: tuple[int, ...], generator: Length, encoder: Length) -> Settings:
    """Return small networks, whose perceptual distance needs no download.

    Args:
        image_size: height and width in pixels.
        channels: channels of the generator at 4 pixels, 8 pixels and so on.
        generator: length of its training.
        encoder: length of its training.
    """
    style = StyleGAN2Config(
        image_size=image_size, channels=channels, style_dim=64, mapping_layers=3, r1_weight=0.1,
        optimizer=OptimizerConfig(lr=4e-3, betas=(0.0, 0.99)),
        discriminator_optimizer=OptimizerConfig(lr=4e-3 * LAZY, betas=(0.0, 0.99**LAZY)),
    )  # fmt: skip
    steps = encoder.trainer.max_steps
    return Settings(
        generator=AdversarialTraining(model=style, **vars(generator)),
        encoder=MaskEncoderConfig(
            image_size=image_size, labels=(),
            network=PyramidConfig(
                first_width=16, widths=(16, 32, 48, 64), units=(1, 1, 2, 1), squeeze=4, coarse=2, middle=2
            ),
            perceptual="effnet-lite0",
            optimizer=OptimizerConfig(lr=2e-3, warmup_steps=min(20, steps // 2), decay_steps=steps),
        ),
        length=encoder,
        search=TextSearch(num_steps=min(40, steps)),
    )  # fmt: skip


def _averaged(length: Length) -> Length:
    """Return the training of a generator whose weights are averaged, as published: over about 10,000 images."""
    return replace(length, trainer=replace(length.trainer, ema_decay=0.999))


MINI = _small(32, (64, 64, 32, 16), _averaged(in_fifths(2000, batch_size=8)), in_fifths(1000, batch_size=8))
"""Of the same number of images, small batches are worth more: random faces of the generator have an FD of 187, after 1,000
steps of 16 images 224 (256 faces, one training each)."""
SMOKE = _small(16, (16, 16, 16), _averaged(in_fifths(4, batch_size=4)), in_fifths(4, batch_size=4))


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": PAPER, "mini": MINI, "smoke": SMOKE}[profile]
