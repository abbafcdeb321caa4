"""Collaborative Diffusion (Huang et al., CVPR 2023): the models of 256 and of 512 pixels, from the folder that its README links.

``*_codiff_mask_text.ckpt`` holds everything: autoencoder, both experts with their encoders, both dynamic diffusers. The other
files hold one expert and the autoencoder, or the autoencoder with what trained it. They are Lightning files of 2023: their
schedules are compared with ours, and the unused output layer of the text transformer is left out. The scale of the latents is in
no file: the released configs say .058 and .141.

Their code has a third modality, a sketch as one token of 32 x 32 pixels, which they published no model and no preparation of;
``*_codiff_mask_text_sketch.ckpt`` is the file that their code writes when it is trained on all three.
"""

from dataclasses import dataclass, replace
from typing import Any

from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig, Collaborator
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig
from lightning_mmdiff.networks.dynamic_diffuser import dynamic_diffuser_unet
from lightning_mmdiff.networks.ldm import ldm_unet
from lightning_mmdiff.networks.tokens import MaskTokensConfig, TextTokensConfig
from lightning_mmdiff.networks.vae import VAEConfig, vae_256, vae_512
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released.checkpoint import SAME, Checkpoint, Key, KeyMap, PublishedFile, Shape
from lightning_mmdiff.released.latent_diffusion import autoencoder_key, text_name, unet_name

SCALE = {256: 0.058, 512: 0.141}
"""Scale of the latents by image size."""
MASK_RATE = {256: 6.4e-5, 512: 3.2e-5}
"""Learning rate of the mask expert by image size."""
SCHEDULES = (
    "betas", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance", "posterior_log_variance_clipped",
    "posterior_mean_coef1", "posterior_mean_coef2",
)  # fmt: skip
"""Names of what follows from ``alphas_cumprod``."""
MODALITIES = {"mask": "seg_mask", "text": "text", "sketch": "sketch"}
"""Our name of a modality -> the name in files, in the order of the dynamic diffusers."""


class Names:
    """Key map of the models of one kind of file, by the beginnings of their names there."""

    def __init__(self, *, unet: str = "model.diffusion_model.", condition: str = "cond_stage_model.") -> None:
        self.unet, self.condition = unet, condition

    def autoencoder(self, config: AutoencoderConfig, name: str, shape: Shape) -> Key:
        """Return the place of a parameter of the autoencoder in a file of experts."""
        key = autoencoder_key(config.vae, name.removeprefix("network."), shape)
        return replace(key, name=f"first_stage_model.{key.name}")

    def expert(self, config: LatentDenoiserConfig, name: str, shape: Shape) -> Key:
        """Return the place of a parameter of an expert or of its encoder."""
        if name.startswith("condition_encoder."):
            own = name.removeprefix("condition_encoder.")
            part, _, rest = own.partition(".")
            return Key(self.condition + (f"{part}.{text_name(rest)}" if part == "transformer" else own), SAME)
        return Key(self.unet + unet_name(config.network, name.removeprefix("network.network.")), SAME)


def bare_autoencoder(config: AutoencoderConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the autoencoder in its own file."""
    return autoencoder_key(config.vae, name.removeprefix("network."), shape)


def diffuser_keys(config: CollaborativeConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of a dynamic diffuser."""
    index, _, own = name.removeprefix("diffusers.").partition(".network.network.")
    network: Any = config.collaborators[int(index)].network
    modality = config.collaborators[int(index)].conditions[0].removesuffix("_tokens")
    prefix = f"model.{MODALITIES[modality]}_confidence_predictor.diffusion_model."
    return Key(prefix + unet_name(network, own), SAME)


@dataclass(frozen=True, kw_only=True)
class Configs:
    """Configs of the models of one image size; a file holds some of them."""

    size: int
    autoencoder: AutoencoderConfig
    mask: LatentDenoiserConfig
    text: LatentDenoiserConfig
    sketch: LatentDenoiserConfig

    def coder(self, name: str, keys: KeyMap) -> Checkpoint:
        """Return the autoencoder of a file."""
        return Checkpoint(
            name=f"codiff_{self.size}_{name}", config=self.autoencoder, keys=keys, part="autoencoder.",
            constants=(("scale", SCALE[self.size]),),
        )  # fmt: skip

    def expert(self, modality: str, names: Names, *, suffix: str = "", coder: str = "autoencoder") -> Checkpoint:
        """Return an expert of a file.

        Args:
            modality: one of ``MODALITIES``.
            names: key map of the file.
            suffix: end of its name.
            coder: its autoencoder; by default the experts of one size share that of the file of mask and text.
        """
        config = {"mask": self.mask, "text": self.text, "sketch": self.sketch}[modality]
        return Checkpoint(
            name=f"codiff_{self.size}_{modality}{suffix}", config=config, keys=names.expert, part=f"{modality}.",
            helpers=(("autoencoder", (f"codiff_{self.size}_{coder}",)),),
        )  # fmt: skip


def _configs(size: int, vae: VAEConfig) -> Configs:
    """Return the configs of one image size."""
    optimizer = OptimizerConfig(lr=6.4e-5, weight_decay=0.01)
    mask = LatentDenoiserConfig(
        network=replace(ldm_unet(), checkpointing=True), conditions=MaskTokensConfig(),
        optimizer=replace(optimizer, lr=MASK_RATE[size]),
    )  # fmt: skip
    return Configs(
        size=size,
        autoencoder=AutoencoderConfig(vae=vae, perceptual_weight=0.0, adversarial_weight=0.0),
        mask=mask,
        text=replace(mask, conditions=TextTokensConfig(), optimizer=optimizer),
        sketch=replace(
            mask, conditions=MaskTokensConfig(name="sketch_tokens", source="sketch", num_classes=1, pooled=True)
        ),
    )


def _everything(configs: Configs, *modalities: str, suffix: str = "") -> PublishedFile:
    """Return the file that holds all models of one image size.

    Args:
        configs: of that size.
        modalities: some of ``MODALITIES``, in their order.
        suffix: end of the names of the file and of its models.
    """

    def expert(modality: str) -> Checkpoint:
        theirs = MODALITIES[modality]
        names = Names(
            unet=f"model.{theirs}_unet.diffusion_model.", condition=f"cond_stage_model.{theirs}_cond_stage_model."
        )
        return configs.expert(modality, names, suffix=suffix, coder=f"autoencoder{suffix}")

    experts = tuple(map(expert, modalities))
    collaborators = tuple(
        Collaborator(conditions=(f"{name}_tokens",), network=dynamic_diffuser_unet()) for name in modalities
    )
    together = Checkpoint(
        name=f"codiff_{configs.size}{suffix}", config=CollaborativeConfig(collaborators=collaborators), keys=diffuser_keys,
        part="diffusers.", helpers=(("experts", tuple(expert.name for expert in experts)),),
    )  # fmt: skip
    return PublishedFile(
        weight=f"collaborative_{configs.size}{suffix}",
        checkpoints=(configs.coder(f"autoencoder{suffix}", Names().autoencoder), *experts, together),
        ignored=(*SCHEDULES, "cond_stage_model.text_cond_stage_model.transformer.to_logits."),
    )


def _files(size: int, vae: VAEConfig) -> tuple[PublishedFile, ...]:
    """Return the files of one image size; the models that tables name are those of the file that holds everything."""
    configs = _configs(size, vae)
    alone = tuple(
        PublishedFile(
            weight=f"collaborative_{size}_{modality}",
            checkpoints=(
                configs.coder(f"autoencoder_with_{modality}", Names().autoencoder),
                configs.expert(modality, Names(), suffix="_alone"),
            ),
            ignored=(*SCHEDULES, "cond_stage_model.transformer.to_logits."),
        )
        for modality in ("mask", "text")
    )
    bare = PublishedFile(
        weight=f"collaborative_{size}_vae",
        checkpoints=(configs.coder("autoencoder_alone", bare_autoencoder),),
        ignored=("loss.",),
    )
    three = _everything(configs, *MODALITIES, suffix="_with_sketch")
    return _everything(configs, "mask", "text"), three, *alone, bare


FILES = (*_files(256, vae_256()), *_files(512, vae_512()))
