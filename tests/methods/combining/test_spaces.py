"""Experts of different spaces: orthogonal decoders are no change, and a pixel expert and a latent one make pictures."""

import pytest
import torch
from tiny import randomized, tiny_config, tiny_denoiser
from torch import Tensor

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.combining.own_latents_sampling import OwnLatents
from lightning_mmdiff.methods.combining.spaces_sampling import AcrossSpaces
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.models.latent_denoiser import LatentDenoiser, LatentDenoiserConfig
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig
from lightning_mmdiff.networks.tokens import MaskTokensConfig
from lightning_mmdiff.networks.vae import VAE, VAEConfig
from lightning_mmdiff.schedules import Sampler

SAMPLER = Sampler(name="spaced-ddim", num_steps=5, clip=False)


def latent_denoiser() -> LatentDenoiser:
    """An expert on masks with latents of 8 x 8 of pictures of 16 x 16."""
    vae = randomized(VAE(VAEConfig(image_size=16, channels=(4, 8), num_res_blocks=1, norm_groups=4)))
    vae.scale.fill_(0.8)
    network = CrossAttentionUNetConfig(
        in_channels=3, out_channels=3, context_dim=12, channels=(8, 16), attention_levels=(1,), num_res_blocks=1,
        num_heads=2, norm_groups=4,
    )  # fmt: skip
    config = LatentDenoiserConfig(network=network, conditions=MaskTokensConfig(num_classes=3, side=8, width=12))
    model = LatentDenoiser(config, autoencoder=vae)
    randomized(model.network)
    return model.eval()


class Turned(Denoiser):
    """The expert on skin, whose latents are its images with their channels turned by an orthogonal map."""

    def turn(self, x: Tensor, *, back: bool = False) -> Tensor:
        axes = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2))).Q
        return torch.einsum("ij,bjhw->bihw", axes.T if back else axes, x)

    @property
    def space(self) -> "Turned":
        return self

    def predict_eps(self, z, t, encoded):
        return self.turn(super().predict_eps(self.turn(z, back=True), t, encoded))

    def encode_image(self, image):
        return self.turn(image)

    def decode(self, z, batch):
        return self.turn(z, back=True)


@pytest.fixture
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def batch(*numbers: int) -> dict:
    draws = torch.Generator().manual_seed(5)
    maps = {name: torch.randint(256, (8, 1, 8, 8), generator=draws, dtype=torch.uint8) for name in ("hair", "skin")}
    return {"index": torch.tensor(numbers), "conditions": {n: m[list(numbers)] for n, m in maps.items()}}


def final(method, theta: float, **options) -> Tensor:
    """The image before it is rounded."""
    made = []
    sampler = method(theta=theta, sampler=options.pop("sampler", SAMPLER), **options)
    decode = sampler.decode
    sampler.decode = lambda z, batch: made.append(decode(z, batch)) or made[0]
    sampler.predict_step(batch(0, 3))
    return made[0]


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("theta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("clip", [False, True])
def test_orthogonal_decoders_with_matched_starts_are_one_space(theta: float, clip: bool) -> None:
    hair, plain = tiny_denoiser(0), tiny_denoiser(1, spatial=(("skin", 1),))
    turned = randomized(Turned(tiny_config(spatial=(("skin", 1),)), seed=1), 1).eval()
    sampler = Sampler(name="spaced-ddim", num_steps=5, clip=clip)

    def united(skin):
        return [Expert(denoiser=hair, conditions=("hair",)), Expert(denoiser=skin, conditions=("skin",))]

    one = final(lambda **o: OwnLatents(united(plain), **o), theta, sampler=sampler)
    two = final(lambda **o: AcrossSpaces(united(turned), starts="encoded", **o), theta, sampler=sampler)
    assert (one - two).abs().max() < 1e-6
    apart = final(lambda **o: AcrossSpaces(united(turned), starts="independent", **o), theta, sampler=sampler)
    assert (one - apart).abs().max() > 1e-2


def test_a_pixel_expert_and_a_latent_one() -> None:
    """Image i depends on its number alone."""
    pixels, latents = tiny_denoiser(0, image_size=16), latent_denoiser()
    experts = [Expert(denoiser=pixels, conditions=("hair",)), Expert(denoiser=latents, conditions=("mask_tokens",))]
    method = AcrossSpaces(experts, theta=None, starts="independent", sampler=SAMPLER)
    draws = torch.Generator().manual_seed(3)
    hair = torch.randint(256, (3, 1, 16, 16), generator=draws, dtype=torch.uint8)
    mask = torch.randint(256, (3, 3, 8, 8), generator=draws, dtype=torch.uint8)

    def made(*rows: int) -> Tensor:
        conditions = {"hair": hair[list(rows)], "mask": mask[list(rows)]}
        return method.predict_step({"index": torch.tensor(rows), "conditions": conditions})

    together = made(0, 1, 2)
    assert together.shape == (3, 3, 16, 16)
    assert (together[1:].int() - made(1, 2).int()).abs().max() <= 1
    assert not torch.equal(together[0], together[1])
    with pytest.raises(UserError, match="must denoise the same shape"):
        UniteAndConquer(experts, sampler=SAMPLER)
