"""MT-Diffusion on latents and on latent diffusion's network (App. E.1, E.4): what it reduces to, what it learns."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from tiny import randomized
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding, Label, PairedImage
from lightning_mmdiff.methods.mt_diffusion.modality import Modality
from lightning_mmdiff.methods.mt_diffusion.model import GIVEN, MTDiffusion
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiser, LatentDenoiserConfig
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig
from lightning_mmdiff.networks.tokens import MaskTokensConfig
from lightning_mmdiff.networks.vae import VAE, VAEConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import Sampler

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = Sampler(name="ddim", num_steps=4, clip=False)
NETWORK = CrossAttentionUNetConfig(
    in_channels=3, out_channels=3, channels=(16, 32), attention_levels=(1,), num_res_blocks=1, num_heads=4,
    context_dim=3, norm_groups=8,
)  # fmt: skip
WORLD = Embedding(dim=3, width=32)


class MeanColor(torch.nn.Module):
    """Stands for CLIP: the direction of the image's mean color."""

    def embed_images(self, image: Tensor) -> Tensor:
        return F.normalize(images.to_float(image).mean((2, 3)), dim=1)


class Halving(torch.nn.Module):
    """Stands for an autoencoder that is trained: means over 2 x 2 pixels."""

    class config:  # noqa: N801
        image_size, latent_shape = 16, (3, 8, 8)

    def encode(self, image: Tensor, noise: Tensor) -> Tensor:
        return F.avg_pool2d(image, 2) + 0 * noise

    def decode(self, latent: Tensor) -> Tensor:
        return F.interpolate(latent, scale_factor=2)


def autoencoder() -> VAE:
    vae = randomized(VAE(VAEConfig(image_size=16, channels=(8, 16), num_res_blocks=1, norm_groups=8)))
    vae.scale.fill_(1.0)
    return vae


def model(*modalities: Modality, in_channels: int = 3, vae: Any = None, **options: Any) -> MTDiffusion:
    """Latent diffusion with modalities; fresh where a ``vae`` is given, else all weights are small noise."""
    config = MTDiffusionConfig(
        network=replace(NETWORK, in_channels=in_channels), image_size=16, modalities=modalities,
        optimizer=OptimizerConfig(lr=3e-3), **options,
    )  # fmt: skip
    module = MTDiffusion(config, embedder=MeanColor(), autoencoder=vae or autoencoder(), sampler=FEW)
    if vae is None:
        randomized(module.network)
    return module.eval()


def batch(size: int = 4, seed: int = 0) -> dict[str, Any]:
    """Images of one color each, and noise."""
    g = torch.Generator().manual_seed(seed)
    color = torch.randint(20, 236, (size, 3, 1, 1), generator=g)
    image = (color + torch.randint(-20, 20, (size, 3, 16, 16), generator=g)).to(torch.uint8)
    photo = torch.randint(0, 256, (size, 3, 16, 16), generator=g, dtype=torch.uint8)
    return {"index": torch.arange(size), "image": image, "conditions": {"photo": photo}}


def test_the_image_alone_is_latent_diffusion_exactly() -> None:
    """Its null token is a zero, as all tokens of a condition that is absent."""
    module = model(WORLD, tasks=("image",), schedule="scaled_linear")
    tokens = MaskTokensConfig(num_classes=2, side=4, width=3)
    denoiser = LatentDenoiser(
        LatentDenoiserConfig(network=NETWORK, conditions=tokens), autoencoder=autoencoder(), sampler=FEW
    ).eval()
    denoiser.network.load_state_dict(module.network.unet.state_dict())
    nothing = {"index": torch.arange(4), "conditions": {}}
    assert torch.equal(module.predict_step(nothing), denoiser.predict_step(nothing))


def test_an_embedding_is_encoded_by_the_shared_network_with_cross_attention() -> None:
    """App. E.4: the U-Net of a zero latent at t = 0 that attends to the embedding."""
    module = model(WORLD)
    embedding = F.normalize(torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    encodings = module.encode_conditions({"embedding": embedding})[GIVEN].encodings
    expected = module.network.unet(torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64), embedding[:, None])
    torch.testing.assert_close(encodings[:, 0], expected)
    assert not encodings.requires_grad


def test_lambda_zero_without_aggregation_is_a_conditional_model_of_latents() -> None:
    """The single-task row of App. E.1 at paper: it reads the photo's latent and nothing else of it."""
    single = model(PairedImage(concatenate=True, aggregation="none", weight=0.0), in_channels=6)
    data, g = batch(), seeding.step_generator(0, 0)
    z0, photo = (single.frozen.to_space(images.to_float(x)) for x in (data["image"], data["conditions"]["photo"]))
    t = torch.randint(1000, (4,), generator=g)
    eps = torch.randn(z0.shape, generator=g)
    z = single.schedule.add_noise(z0, eps, t)
    expected = (single.network.unet(torch.cat([z, photo], 1), t, torch.zeros(4, 1, 3)) - eps).square().mean()
    torch.testing.assert_close(single.loss(data, seeding.step_generator(0, 0)), expected)


@pytest.mark.parametrize("modality", [WORLD, PairedImage(concatenate=True)])
def test_samples_are_decoded(modality: Modality) -> None:
    module = model(modality, in_channels=6 if modality.concatenate else 3)
    data = batch()
    image, estimates = module.generate({"index": data["index"], "conditions": {}})
    assert image.shape == (4, 3, 16, 16)
    assert {name: tuple(x.shape) for name, x in estimates.items()} in ({"embedding": (4, 3)}, {"photo": (4, 3, 8, 8)})


def test_the_joint_model_learns_both_tasks() -> None:
    """Few steps: the image's loss falls, and the head tells the color of new images that it sees without E."""
    module = model(WORLD, vae=Halving(), prediction="v")
    optimizer: Any = module.configure_optimizers()["optimizer"]
    new = batch(64, seed=99)
    true = module.embedder.embed_images(new["image"])

    def cosine() -> float:
        predicted = module.predictions(new["image"], 0, torch.Generator().manual_seed(0))["embedding"]
        return float(F.cosine_similarity(predicted, true, dim=1).mean())

    before, losses = cosine(), []
    for k in range(30):
        optimizer.zero_grad()
        loss = module.loss(batch(16, seed=k), seeding.step_generator(0, k))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert cosine() > max(before + 0.2, 0.6)


def test_what_does_not_fit_is_named() -> None:
    module = model(WORLD)
    with pytest.raises(ValueError, match="needs clip=False"):
        module.sampler = Sampler(name="ddim", num_steps=2)
    config = replace(module.config, network=replace(NETWORK, in_channels=4, out_channels=4))
    with pytest.raises(ValueError, match="The network makes 4 channels, latents of this kind have 3"):
        MTDiffusion(config, autoencoder=autoencoder())
    with pytest.raises(ValueError, match="The model has 8 pixels, its autoencoder 16"):
        MTDiffusion(replace(module.config, image_size=8), autoencoder=autoencoder())
    learned = replace(module.config, learned_variance=True, network=replace(NETWORK, out_channels=6))
    with pytest.raises(ValueError, match="learned_variance needs pixels"):
        MTDiffusion(learned, autoencoder=autoencoder())
    small = VAE(VAEConfig(image_size=16, channels=(8,) * 5, num_res_blocks=1, norm_groups=8))
    with pytest.raises(ValueError, match="halves 1 positions; expected a multiple of 2"):
        MTDiffusion(module.config, autoencoder=small)
    with pytest.raises(ValueError, match="label has 5 classes .* which has None"):
        model(Label(num_classes=5))
    with pytest.raises(ValueError, match="embedding has dim 7 .* embedding_dim is 3"):
        model(Embedding(dim=7))
