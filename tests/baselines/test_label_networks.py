"""Conditional GAN and VAE of the lecture: how the label acts, closed forms, and a digit that follows its label."""

import math

import numpy as np
import pytest
import torch

from lightning_mmdiff import seeding
from lightning_mmdiff.baselines.label_gan import LabelGANConfig
from lightning_mmdiff.baselines.label_networks import LabelDecoder, LabelEncoder, LabelLayers, LabelNetworkConfig
from lightning_mmdiff.baselines.label_vae import LabelVAE, LabelVAEConfig
from lightning_mmdiff.optimization import OptimizerConfig

pytestmark = pytest.mark.usefixtures("one_thread")
RATE = OptimizerConfig(lr=1e-2, betas=(0.5, 0.9))
KINDS: tuple[LabelLayers, ...] = ("embedding", "film")


def network(layers: LabelLayers) -> LabelNetworkConfig:
    return LabelNetworkConfig(image_size=8, num_classes=2, label_layers=layers, channels=8, latent_dim=4, label_dim=4)


def vae(layers: LabelLayers) -> LabelVAE:
    return LabelVAEConfig(network=network(layers), optimizer=RATE).build(seed=0)


def batch(size: int) -> dict:
    """White images of class 1, black ones of class 0, with a little noise."""
    labels = torch.arange(size) % 2
    noise = torch.randint(20, (size, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    image = (noise + 235 * labels[:, None, None, None]).to(torch.uint8)
    return {"image": image, "index": torch.arange(size), "conditions": {"label": labels}}


def test_film_starts_as_the_identity_and_the_embedding_is_read_from_the_start() -> None:
    z, image = torch.randn(1, 4).expand(2, -1), torch.randn(1, 3, 8, 8).expand(2, -1, -1, -1)
    labels = torch.tensor([0, 1])
    for kind, same in (("film", True), ("embedding", False)):
        config = network(kind)
        for out in (LabelDecoder(config)(z, labels), LabelEncoder(config, 3)(image, labels)):
            assert torch.allclose(out[0], out[1], atol=1e-6) == same


def test_the_bound_of_a_decoder_that_is_right_is_the_divergence() -> None:
    model = vae("film")
    for parameter in (*model.decoder.to_image.parameters(), *model.encoder.last.parameters()):
        torch.nn.init.zeros_(parameter)
    gray = {**batch(4), "image": torch.full((4, 3, 8, 8), 127, dtype=torch.uint8)}
    losses = model.losses(gray, seeding.step_generator(0, 0))
    assert losses["divergence"] == 0
    assert losses["pixels"].item() == pytest.approx(3 * 64 * (1 / 255) ** 2 / (2 * 0.3**2), rel=1e-4)
    model.encoder.last.bias.data[:4] = 1.0
    assert model.losses(gray, seeding.step_generator(0, 0))["divergence"].item() == pytest.approx(4 / 2)


def test_an_undecided_gan_has_the_loss_of_a_coin() -> None:
    model = LabelGANConfig(image_size=8, network=network("film"), optimizer=RATE, discriminator_optimizer=RATE).build(
        seed=0
    )
    for parameter in model.discriminator.last.parameters():
        torch.nn.init.zeros_(parameter)
    losses = model.losses(batch(4), seeding.step_generator(0, 0))
    assert losses["loss"].item() == pytest.approx(math.log(2))
    assert losses["discriminator_loss"].item() == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("kind", KINDS)
def test_images_follow_their_label_after_a_few_steps(kind: LabelLayers) -> None:
    model, data = vae(kind), batch(16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(150):
        optimizer.zero_grad()
        model.loss(data, seeding.step_generator(0, step)).backward()
        optimizer.step()
    images = model.eval().predict_step(data).float().mean(dim=(1, 2, 3))
    assert images[1::2].mean() > 160
    assert images[0::2].mean() < 95
    part = {**data, "index": data["index"][3:5], "conditions": {"label": data["conditions"]["label"][3:5]}}
    assert np.allclose(model.predict_step(part).float().mean(dim=(1, 2, 3)), images[3:5], atol=0.1)
