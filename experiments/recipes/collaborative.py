"""Collaborative Diffusion's autoencoder, experts, dynamic diffusers and samples: the published setting, and what is smaller.

Published: CVPR 2023, Sec. 4.1, supplement A.1, Tables A3 and A4; what the paper leaves open is the released code's (see
PITFALLS.md). smoke has the same parts, tiny: autoencoder, cached latents, experts on tokens. mini diffuses pixels: 32-pixel
images leave an autoencoder little to compress. Only ``mask_token_expert`` is latent there too.
"""

from dataclasses import replace

from datamodules.faces.classes import NUM_CLASSES
from experiments.recipes.evaluators import rendered_words
from experiments.recipes.faces import DESCRIPTIONS
from experiments.recipes.profiles import few_images
from experiments.recipes.unite_and_conquer import CELEBA, expert, text_expert
from experiments.spec import (
    Captions,
    DataConfig,
    ExpertUse,
    Method,
    Metric,
    Profile,
    SampleRun,
    TrainerConfig,
    TrainRun,
    seeded,
)
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig, Collaborator
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig, released_sampler
from lightning_mmdiff.networks.dynamic_diffuser import (
    DynamicDiffuserConfig,
    dynamic_diffuser_unet,
    mini_dynamic_diffuser,
)
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig, ldm_unet
from lightning_mmdiff.networks.tokens import MaskTokensConfig, TextTokensConfig, TokensConfig
from lightning_mmdiff.networks.vae import VAEConfig, vae_256
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import Sampler

EPOCH = 27_000 / 32
"""Optimizer steps of one pass over the training images, 32 at a time."""
DIFFUSER_STEPS = {"paper": 187_000, "mini": 1000, "smoke": 6}
"""Optimizer steps of the dynamic diffusers (Table A3)."""
MINI_LATENT_STEPS = 1500
"""Optimizer steps of a latent expert at mini."""
FID, FID_ALL, TEXT, MASK, MIOU = "FID", "FID, all images", "Text", "Mask", "mIoU"
"""Columns. The authors' FID is that of 50 images (their answer to an issue); Text and Mask are in percent there."""
PUBLISHED = {FID: "FID-50", FID_ALL: "FID", TEXT: "CLIPScore", MASK: "MaskAccuracy"}
STAND_INS = {
    FID: "FD-EffNetLite0-50", FID_ALL: "FD-EffNetLite0", TEXT: "Attributes-MiniJudge", MASK: "MaskAccuracy-MiniParser",
    MIOU: "mIoU-MiniParser",
}  # fmt: skip
FOUR_GPUS = TrainerConfig(max_steps=0, devices=4, checkpoint_every=2000)


def metrics(profile: Profile, *names: str) -> tuple[Metric, ...]:
    """Columns ``names`` (default all), each under the protocol that ``profile`` can measure."""
    protocols = PUBLISHED if profile == "paper" else STAND_INS
    return tuple(
        Metric(
            column=name,
            protocol=protocols[name],
            better="lower" if name in (FID, FID_ALL) else "higher",
            description=DESCRIPTIONS[protocols[name]],
        )
        for name in protocols
        if not names or name in names
    )


def autoencoder(profile: Profile) -> TrainRun:
    """KL autoencoder of 256-pixel faces (A.1, Eq. 8); authors: 50 to 150 epochs, here 100."""
    published = TrainRun(
        name="autoencoder",
        model=AutoencoderConfig(vae=vae_256()),
        data=(data(profile),),
        batch_size=64,
        trainer=replace(FOUR_GPUS, max_steps=round(100 * EPOCH / 2)),
    )
    if profile == "paper":
        return published
    size, channels = (32, (16, 32)) if profile == "mini" else (16, (8, 16))
    config = AutoencoderConfig(
        vae=VAEConfig(image_size=size, channels=channels, num_res_blocks=1, norm_groups=8),
        perceptual_weight=0.0,
        adversarial_weight=0.0,
        scale_batches=2,
        optimizer=OptimizerConfig(lr=1e-3, betas=(0.5, 0.9)),
    )
    if profile == "mini":
        return replace(
            published, model=config, batch_size=32, trainer=TrainerConfig(max_steps=500, checkpoint_every=100)
        )
    return replace(published, model=config, batch_size=4, trainer=_smoke_trainer())


def mask_expert(profile: Profile, seed: int) -> TrainRun:
    """Mask to face. At mini without its condition on one image in eight, which guidance needs; the paper's never are."""
    if profile == "mini":
        return expert(profile, seed, "mask-expert", (data(profile, "mask"),))
    return _latent(profile, seed, "mask-expert", mask_tokens(profile))


def mask_token_expert(profile: Profile, seed: int, *, class_embedding: bool = False) -> TrainRun:
    """Mask to face by tokens, in latent space at mini too. ``class_embedding``: a token says which class it is."""
    name = "mask-token-expert" if profile == "mini" else "mask-expert"
    tokens = replace(mask_tokens(profile), class_embedding=class_embedding)
    return _latent(profile, seed, f"{name}-with-classes" if class_embedding else name, tokens)


def words_expert(profile: Profile, seed: int) -> TrainRun:
    """Text to face: a text transformer trained with the U-Net; at mini embeddings of captions by a small image-text model."""
    if profile == "mini":  # Unite and Conquer's, but trained on texts as this paper does
        run = replace(text_expert(profile, seed), name=seeded("words-expert", seed), data=(data(profile, "caption"),))
        return on_captions(run)
    return _latent(profile, seed, "words-expert", text_tokens(profile))


def on_captions(run: TrainRun) -> TrainRun:
    """The same model at mini, its embedding at unit size for each component: in 600 steps it hardly learns to read it else."""
    assert isinstance(run.model, DenoiserConfig)
    assert run.model.conditions.embedding is not None
    scale = run.model.conditions.embedding[1] ** 0.5
    return replace(run, model=replace(run.model, conditions=replace(run.model.conditions, embedding_scale=scale)))


def mask_tokens(profile: Profile) -> MaskTokensConfig:
    """19 tokens, one a class."""
    match profile:
        case "paper":
            return MaskTokensConfig()
        case "mini":
            return MaskTokensConfig(side=16, width=64)
        case "smoke":
            return MaskTokensConfig(side=8, width=16)


def text_tokens(profile: Profile) -> TokensConfig:
    """77 tokens of BERT's word pieces; at smoke 16 words."""
    if profile == "paper":
        return TextTokensConfig()
    return TextTokensConfig(vocabulary=rendered_words(), width=16, num_layers=1, num_heads=2, head_dim=8, max_length=16)


def diffusers(profile: Profile, seed: int) -> TrainRun:
    """The dynamic diffusers of both experts, which are frozen (Algorithm 1)."""
    steps = DIFFUSER_STEPS[profile]
    members = (
        Collaborator(conditions=condition_names(profile, "mask"), network=_diffuser(profile, "mask")),
        Collaborator(conditions=condition_names(profile, "text"), network=_diffuser(profile, "text")),
    )
    config = CollaborativeConfig(members=members)
    if profile == "mini":
        optimizer = OptimizerConfig(lr=2.5e-3, betas=(0.9, 0.99), warmup_steps=50, decay_steps=steps)
        config = replace(config, min_snr=5.0, optimizer=optimizer)
    published = TrainRun(
        name=seeded("dynamic-diffusers", seed),
        model=config,
        data=(data(profile, "mask", "caption"),),
        batch_size=32,
        trainer=replace(FOUR_GPUS, max_steps=steps),
        needs=(mask_expert(profile, seed), words_expert(profile, seed)),
        seed=seed,
    )
    match profile:
        case "paper":
            return published
        case "mini":
            return replace(
                published, trainer=TrainerConfig(max_steps=steps, gradient_clip_val=1.0, checkpoint_every=100)
            )
        case "smoke":
            return replace(published, batch_size=4, trainer=_smoke_trainer())


def condition_names(profile: Profile, *modalities: str) -> tuple[str, ...]:
    """What the experts call the mask and the text: tokens of latent models, or the condition itself."""
    return modalities if profile == "mini" else tuple(f"{name}_tokens" for name in modalities)


def mask_and_text(profile: Profile, seed: int) -> tuple[ExpertUse, ...]:
    """Both experts, each asked about its modality."""
    return (
        ExpertUse(run=mask_expert(profile, seed), conditions=condition_names(profile, "mask")),
        ExpertUse(run=words_expert(profile, seed), conditions=condition_names(profile, "text")),
    )


def collaborated(
    profile: Profile,
    name: str,
    *uses: ExpertUse,
    method: Method = "composable",
    influence: InfluenceConfig | None = None,
) -> SampleRun:
    """Faces under mask and caption of the test images; published: 3,000 images, DDIM with 50 steps and eta 1."""
    seed = uses[0].run.seed if uses else 0
    latent = profile != "mini" or any(isinstance(use.run.model, LatentDenoiserConfig) for use in uses)
    judged = ("mask", "caption") if profile == "paper" else ("mask", "caption", "attributes")
    published = SampleRun(
        name=seeded(name, seed),
        method=method,
        experts=uses,
        data=data(profile, *judged),
        num_images=3000,
        sampler=released_sampler() if latent else Sampler(name="ddim", num_steps=50, eta=1.0),
        influence=influence,
        seed=seed,
    )
    return few_images(published, profile)


def counted(profile: Profile, name: str, run: TrainRun, conditions: tuple[str, ...]) -> SampleRun:
    """Nothing sampled: the configuration of the network of ``run`` under ``conditions`` is read."""
    use = ExpertUse(run=run, conditions=conditions)
    return SampleRun(
        name=seeded(f"counted-{name}", run.seed), method="count", experts=(use,), data=data(profile), num_images=1,
        sampler=Sampler(name="ddim", num_steps=1),
    )  # fmt: skip


def data(profile: Profile, *conditions: str) -> DataConfig:
    """CelebA-HQ with the captions that define the split: beards and ages, or below paper all attributes."""
    size = {"paper": 256, "mini": 32, "smoke": 16}[profile]
    captions: Captions = "beard-and-age" if profile == "paper" else "celeba-dialog"
    return DataConfig(dataset=CELEBA, image_size=size, conditions=conditions, captions=captions)


def _latent(profile: Profile, seed: int, name: str, tokens: TokensConfig) -> TrainRun:
    """A uni-modal latent diffusion model; authors: 100 to 200 epochs, here 150."""
    published = TrainRun(
        name=seeded(name, seed),
        model=LatentDenoiserConfig(
            network=replace(ldm_unet(), context_dim=tokens.width), conditions=tokens, checkpointing=True
        ),
        data=(data(profile, tokens.source),),
        batch_size=32,
        trainer=replace(FOUR_GPUS, max_steps=round(150 * EPOCH)),
        needs=(autoencoder(profile),),
        seed=seed,
    )
    match profile:
        case "paper":
            return published
        case "mini":
            config = LatentDenoiserConfig(
                network=_tiny_unet(3, channels=(32, 64), context_dim=tokens.width),
                conditions=tokens,
                prediction="z0",
                min_snr=5.0,
                optimizer=OptimizerConfig(lr=2e-3, betas=(0.9, 0.99), warmup_steps=50, decay_steps=MINI_LATENT_STEPS),
            )
            trainer = TrainerConfig(
                max_steps=MINI_LATENT_STEPS, gradient_clip_val=1.0, ema_decay=0.99, checkpoint_every=100
            )
            return replace(published, model=config, trainer=trainer)
        case "smoke":
            config = LatentDenoiserConfig(network=_tiny_unet(3), conditions=tokens)
            return replace(published, model=config, batch_size=4, trainer=_smoke_trainer())


def _diffuser(profile: Profile, modality: str) -> DynamicDiffuserConfig:
    match profile:
        case "paper":
            return dynamic_diffuser_unet()
        case "mini" if modality == "mask":
            return mini_dynamic_diffuser(3 + NUM_CLASSES)
        case "mini":
            return mini_dynamic_diffuser(3, embedding_dim=64)
        case "smoke":
            return _tiny_unet(1)


def _tiny_unet(
    out_channels: int, *, channels: tuple[int, int] = (8, 16), context_dim: int = 16
) -> CrossAttentionUNetConfig:
    return CrossAttentionUNetConfig(
        in_channels=3, out_channels=out_channels, channels=channels, attention_levels=(1,), num_res_blocks=1,
        num_heads=2, context_dim=context_dim, norm_groups=8,
    )  # fmt: skip


def _smoke_trainer() -> TrainerConfig:
    return TrainerConfig(max_steps=6, checkpoint_every=2)
