"""Settings of Collaborative Diffusion (CVPR 2023, Sec. 4.1, supplement A.1, Tables A3 and A4): as published, and reduced.

Choices that the paper leaves open follow the released code (see PITFALLS.md). SMOKE has the same parts, tiny: autoencoder,
cached latents, experts on tokens. MINI diffuses pixels: 32-pixel images leave an autoencoder little to compress. Only the
expert on mask tokens is latent there too.
"""

from dataclasses import dataclass, replace

from datamodules.faces.captions import CaptionKind
from datamodules.faces.classes import NUM_CLASSES
from experiments.recipes.settings.samples import MINI_IMAGES, SMOKE_IMAGES, FewerImages
from experiments.recipes.settings.training import AutoencoderTraining, Length
from experiments.runs import TrainerConfig
from experiments.spec import Profile
from lightning_mmdiff.configs import Config
from lightning_mmdiff.methods.collaborative.imagic import ImagicConfig
from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig, Collaborator
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig
from lightning_mmdiff.networks.dynamic_diffuser import (
    dynamic_diffuser_unet,
    mini_dynamic_diffuser,
)
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig, ldm_unet
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.networks.tokens import MaskTokensConfig, TextTokensConfig
from lightning_mmdiff.networks.vae import VAEConfig, vae_256
from lightning_mmdiff.optimization import OptimizerConfig

EPOCH = 27_000 / 32
"""Number of optimizer steps of one pass over the training images, 32 at a time."""


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    """Autoencoder, experts, dynamic diffusers, samples and edits."""

    image_size: int
    """Height and width of a face in pixels."""
    captions: CaptionKind
    """Captions that define the split."""
    sampled: tuple[str, ...]
    """Conditions of the test images needed to make or measure a sample."""
    autoencoder: AutoencoderTraining
    mask_expert: LatentDenoiserConfig
    """Latent expert on mask tokens; the text expert has other tokens."""
    text_tokens: TextTokensConfig | None
    """Tokens of the text expert. None: both experts diffuse pixels, given the conditions themselves, as in Unite and Conquer."""
    rendered_words: bool
    """Whether the vocabulary of ``text_tokens`` comes from the rendered captions."""
    expert: Length
    """Training length of a latent expert."""
    diffusers: CollaborativeConfig
    """Dynamic diffuser of the mask, then that of the text."""
    diffusers_length: Length
    samples: FewerImages | None
    """Reduction of the samples. None: 3,000 images, DDIM with 50 steps and eta 1."""
    imagic: ImagicConfig
    """Both stages of an edit."""
    num_edits: int
    """Number of images to edit."""
    edits_shard_size: int
    """Number of edited images per file and per batch."""
    first_fid: str
    """Protocol of the column FID, which the authors measure on 50 images."""
    released: bool
    """Whether the authors' checkpoints take the place of trained models."""
    published_metrics: bool
    """Whether to measure with the published networks, or with stand-ins that need no download."""

    @property
    def latent(self) -> bool:
        """Whether both experts diffuse latents, conditioned on tokens."""
        return self.text_tokens is not None


def _trainer(steps: float) -> TrainerConfig:
    return TrainerConfig(max_steps=round(steps), devices=4, checkpoint_every=2000)


def _diffusers(
    mask: NetworkConfig, text: NetworkConfig, *, names: tuple[str, str] = ("mask_tokens", "text_tokens")
) -> CollaborativeConfig:
    conditions = zip(names, (mask, text), strict=True)
    return CollaborativeConfig(
        collaborators=tuple(Collaborator(conditions=(name,), network=n) for name, n in conditions)
    )


PAPER = Settings(
    image_size=256,
    captions="beard-and-age",
    sampled=("mask", "caption"),
    autoencoder=AutoencoderTraining(
        model=AutoencoderConfig(vae=vae_256()), batch_size=64, trainer=_trainer(100 * EPOCH / 2)
    ),  # authors: 50 to 150 epochs
    mask_expert=LatentDenoiserConfig(network=replace(ldm_unet(), checkpointing=True), conditions=MaskTokensConfig()),
    text_tokens=TextTokensConfig(),
    rendered_words=False,
    expert=Length(batch_size=32, trainer=_trainer(150 * EPOCH)),  # authors: 100 to 200 epochs
    diffusers=_diffusers(dynamic_diffuser_unet(), dynamic_diffuser_unet()),
    diffusers_length=Length(batch_size=32, trainer=_trainer(187_000)),
    samples=None,
    imagic=ImagicConfig(),
    num_edits=100,
    edits_shard_size=4,
    first_fid="FID-50",
    released=False,
    published_metrics=True,
)

RELEASED = replace(PAPER, released=True)


def _vae(size: int, channels: tuple[int, int]) -> AutoencoderConfig:
    return AutoencoderConfig(
        vae=VAEConfig(image_size=size, channels=channels, num_res_blocks=1, norm_groups=8),
        perceptual_weight=0.0,
        adversarial_weight=0.0,
        scale_batches=2,
        optimizer=OptimizerConfig(lr=1e-3, betas=(0.5, 0.9)),
    )


def _unet(out_channels: int, channels: tuple[int, int], context_dim: int) -> CrossAttentionUNetConfig:
    return CrossAttentionUNetConfig(
        in_channels=3, out_channels=out_channels, channels=channels, attention_levels=(1,), num_res_blocks=1,
        num_heads=2, context_dim=context_dim, norm_groups=8,
    )  # fmt: skip


def _falling(lr: float, steps: int) -> OptimizerConfig:
    """Return an optimizer whose learning rate falls to zero at the last step."""
    return OptimizerConfig(lr=lr, betas=(0.9, 0.99), warmup_steps=50, decay_steps=steps)


MINI = replace(
    PAPER,
    image_size=32,
    captions="celeba-dialog",
    sampled=("mask", "caption", "attributes"),
    autoencoder=AutoencoderTraining(
        model=_vae(32, (16, 32)), batch_size=32, trainer=TrainerConfig(max_steps=500, checkpoint_every=100)
    ),
    mask_expert=LatentDenoiserConfig(
        network=_unet(3, (32, 64), 64),
        conditions=MaskTokensConfig(side=16, width=64),
        prediction="z0",
        min_snr=5.0,
        optimizer=_falling(2e-3, 1500),
    ),
    text_tokens=None,
    expert=Length(
        batch_size=32,
        trainer=TrainerConfig(max_steps=1500, gradient_clip_val=1.0, ema_decay=0.99, checkpoint_every=100),
    ),
    diffusers=replace(
        _diffusers(
            mini_dynamic_diffuser(3 + NUM_CLASSES),
            mini_dynamic_diffuser(3, embedding_dim=64),
            names=("mask", "text"),
        ),
        min_snr=5.0,
        optimizer=_falling(2.5e-3, 1000),
    ),
    diffusers_length=Length(
        batch_size=32, trainer=TrainerConfig(max_steps=1000, gradient_clip_val=1.0, checkpoint_every=100)
    ),
    samples=MINI_IMAGES,
    imagic=ImagicConfig(
        condition_steps=60, condition_optimizer=OptimizerConfig(lr=2e-2), network_steps=60,
        network_optimizer=OptimizerConfig(lr=1e-3), batch_size=16, min_snr=5.0, checkpoint_every=60,
    ),
    num_edits=16,
    first_fid="FD-EffNetLite0-50",
    published_metrics=False,
)  # fmt: skip
SIX_STEPS = Length(batch_size=4, trainer=TrainerConfig(max_steps=6, checkpoint_every=2))
SMOKE = replace(
    MINI,
    image_size=16,
    autoencoder=AutoencoderTraining(model=_vae(16, (8, 16)), batch_size=4, trainer=SIX_STEPS.trainer),
    mask_expert=LatentDenoiserConfig(network=_unet(3, (8, 16), 16), conditions=MaskTokensConfig(side=8, width=16)),
    text_tokens=TextTokensConfig(width=16, num_layers=1, num_heads=2, head_dim=8, max_length=16),
    rendered_words=True,
    expert=SIX_STEPS,
    diffusers=_diffusers(_unet(1, (8, 16), 16), _unet(1, (8, 16), 16)),
    diffusers_length=SIX_STEPS,
    samples=SMOKE_IMAGES,
    imagic=ImagicConfig(condition_steps=2, network_steps=2, checkpoint_every=1),
    num_edits=2,
    edits_shard_size=2,
    first_fid="FD-EffNetLite0-4",  # there are not 50 images
)


def of(profile: Profile) -> Settings:
    """Return the settings of ``profile``."""
    return {"paper": PAPER, "released": RELEASED, "mini": MINI, "smoke": SMOKE}[profile]
