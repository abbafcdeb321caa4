"""Combinations of settings that would fail or mislead in training are refused when the config is made (fault A4)."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_config

from datamodules.batches.masking import MaskConfig
from lightning_mmdiff.methods.collaborative.imagic import ImagicConfig
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig, Collaborator
from lightning_mmdiff.methods.learned_reliability import ReliabilityConfig
from lightning_mmdiff.models.autoencoder import Autoencoder, AutoencoderConfig
from lightning_mmdiff.models.contrastive import ContrastiveConfig
from lightning_mmdiff.models.evaluators import AttributeClassifierConfig, Degradation, FaceParserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.patch_discriminator import SMALLEST_IMAGE, PatchDiscriminator
from lightning_mmdiff.networks.presets import mini_unet
from lightning_mmdiff.networks.vae import VAEConfig
from lightning_mmdiff.optimization import OptimizerConfig

PLAIN = tiny_config()  # one map of one channel
TEXT = tiny_config(spatial=(), embedding=("text", 4))
COLLABORATIVE = CollaborativeConfig(collaborators=(Collaborator(conditions=(), network=mini_unet(3, 1)),))
SMALL_VAE = VAEConfig(image_size=16, channels=(8, 16), norm_groups=8)


@pytest.mark.parametrize("prediction", ["v", "z0"])
def test_a_learned_variance_is_of_predicted_noise(prediction: str) -> None:
    tiny_config(learned_variance=True)
    with pytest.raises(ValueError, match=f"learned_variance needs prediction='eps', not '{prediction}'"):
        tiny_config(learned_variance=True, prediction=prediction)


@pytest.mark.parametrize(("learned", "channels", "expected"), [(False, 6, 3), (True, 3, 6), (False, 4, 3)])
def test_output_channels_are_those_of_the_image_twice_with_a_variance(learned, channels, expected) -> None:
    network = replace(PLAIN.network, out_channels=channels)
    with pytest.raises(
        ValueError, match=rf"4 input and {channels} output .* and {expected} \(learned_variance={learned}"
    ):
        replace(PLAIN, network=network, learned_variance=learned)


@pytest.mark.parametrize("channels", [3, 5])
def test_input_channels_are_those_of_image_and_conditions(channels: int) -> None:
    with pytest.raises(ValueError, match=f"has {channels} input .* expected 4, 3 of the image and 1 of the conditions"):
        replace(PLAIN, network=replace(PLAIN.network, in_channels=channels))
    projected = ConditionConfig(spatial=(("hair", 1),), projected_channels=3, rgb=True)
    with pytest.raises(ValueError, match="expected 6, 3 of the image and 3 of the conditions"):
        replace(PLAIN, conditions=projected)


def test_network_and_conditions_have_the_same_embedding() -> None:
    for config, width in ((PLAIN, 4), (TEXT, None), (TEXT, 5)):
        with pytest.raises(ValueError, match=f"embedding_dim={width}, but the embedding of the conditions is "):
            replace(config, network=replace(config.network, embedding_dim=width))


def test_network_and_conditions_have_the_same_classes() -> None:
    with pytest.raises(ValueError, match="num_classes=4, but the label of the conditions is None"):
        replace(PLAIN, network=replace(PLAIN.network, num_classes=4))


def test_the_image_can_be_halved_as_often_as_the_network_does() -> None:
    with pytest.raises(ValueError, match="image_size 9 must be a multiple of 2"):
        replace(PLAIN, image_size=9)


@pytest.mark.parametrize(
    ("subsets", "message"),
    [
        (((("skin",), 1.0),), r"subsets keep \['skin'\]; the conditions are \['hair'\]"),
        (((("hair",), 0.5), ((), 0.4)), r"sum to 1; \[0.5, 0.4\] sum to 0.9"),
        (((("hair",), 1.5), ((), -0.5)), "must be positive and sum to 1"),
    ],
)
def test_subsets_are_of_the_conditions_and_sum_to_one(subsets: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, subsets=subsets)


def test_the_discriminator_needs_images_of_which_a_logit_is_left() -> None:
    assert PatchDiscriminator()(torch.zeros(2, 3, SMALLEST_IMAGE, SMALLEST_IMAGE)).shape == (2, 1, 1, 1)
    with pytest.raises(RuntimeError):
        PatchDiscriminator()(torch.zeros(2, 3, SMALLEST_IMAGE - 1, SMALLEST_IMAGE - 1))
    with pytest.raises(ValueError, match="images of at least 24 pixels, these have 16: set adversarial_weight to 0"):
        AutoencoderConfig(vae=SMALL_VAE)
    Autoencoder(AutoencoderConfig(vae=SMALL_VAE, adversarial_weight=0.0, perceptual_weight=0.0))


def test_a_dynamic_diffuser_has_one_output_channel() -> None:
    with pytest.raises(ValueError, match="one output channel, its influence; got 3"):
        Collaborator(conditions=("hair",), network=mini_unet(4, 3))


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (AutoencoderConfig, {"vae": SMALL_VAE, "adversarial_weight": 0.0, "kl_weight": -1.0}, "kl_weight=-1.0"),
        (AutoencoderConfig, {"vae": SMALL_VAE, "adversarial_weight": 0.0, "scale_batches": 0}, "scale_batches=0"),
        (CollaborativeConfig, {"collaborators": ()}, r"collaborators=\(\); expected one entry or more"),
        (InfluenceConfig, {"scheduled": (-1,)}, "scheduled=.*-1.*; expected at least 0"),
        (ReliabilityConfig, {"conditions": ()}, r"conditions=\(\); expected one entry or more"),
        (ReliabilityConfig, {"conditions": (("hair",),), "num_bins": 0}, "num_bins=0; expected at least 1"),
        (ImagicConfig, {"network_steps": -1}, "network_steps=-1; expected at least 0"),  # Lightning's -1 never ends
        (ImagicConfig, {"batch_size": 0}, "batch_size=0; expected at least 1"),
        (ContrastiveConfig, {"vocabulary": ("a",), "text_width": 6}, "text_width=6; expected multiples of 4"),
        (ContrastiveConfig, {"vocabulary": ("a",), "image_channels": (8, 16, 20)}, "expected multiples of 8"),
        (ContrastiveConfig, {"vocabulary": ("a",), "initial_temperature": 0.005}, "expected at least 0.01"),
        (FaceParserConfig, {"num_classes": 257}, "expected 1 to 256 classes"),
        (FaceParserConfig, {"channels": (8, 12)}, "expected multiples of 8"),
        (AttributeClassifierConfig, {"attributes": ()}, "expected one entry or more"),
        (AttributeClassifierConfig, {"attributes": (3, -1)}, r"attributes=\(3, -1\); expected at least 0"),
        (Degradation, {"contrast": 1.5}, r"contrast=1.5; expected a number in \[0, 1\]"),
        (Degradation, {"noise": -0.1}, "noise=-0.1; expected at least 0"),
        (OptimizerConfig, {"lr": 0.0}, "lr=0.0; expected a number above 0"),
        (OptimizerConfig, {"lr": float("nan")}, "lr=nan; expected a number above 0"),
        (OptimizerConfig, {"lr": 1e-3, "betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\); expected a number in \[0, 1\)"),
        (OptimizerConfig, {"lr": 1e-3, "weight_decay": -0.1}, "weight_decay=-0.1; expected at least 0"),
        (OptimizerConfig, {"lr": 1e-3, "warmup_steps": -1}, "warmup_steps=-1; expected at least 0"),
        (OptimizerConfig, {"lr": 1e-3, "decay_steps": 0}, "decay_steps=0; expected at least 1"),
        (MaskConfig, {"low": 2, "high": 1, "patch": 4}, "expected 0 <= low <= high patches"),
    ],
)
def test_numbers_out_of_range_are_refused(config: type, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**options)


@pytest.mark.parametrize("config", [PLAIN, ImagicConfig(), COLLABORATIVE])
def test_gamma_of_min_snr_is_positive(config) -> None:
    with pytest.raises(ValueError, match="min_snr=0.0; expected a number above 0"):
        replace(config, min_snr=0.0)
