"""Latent diffusion's networks: published sizes, what tokens tell, how a latent is scaled."""

import pytest
import torch
from tiny import randomized
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.dynamic_diffuser import DynamicDiffuser, dynamic_diffuser_unet, mini_dynamic_diffuser
from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig, ldm_unet
from lightning_mmdiff.networks.presets import mini_unet
from lightning_mmdiff.networks.tokens import MaskTokensConfig, TextTokensConfig
from lightning_mmdiff.networks.unet import UNet
from lightning_mmdiff.networks.vae import VAE, VAEConfig, kl_divergence, sample_posterior, vae_256, vae_512

SMALL = CrossAttentionUNetConfig(
    in_channels=3, out_channels=3, channels=(16, 32), attention_levels=(1,), num_res_blocks=1, num_heads=4,
    context_dim=24, norm_groups=8,
)  # fmt: skip
SMALL_VAE = VAEConfig(image_size=16, channels=(8, 16), num_res_blocks=1, norm_groups=8)


def count(make) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in make().parameters())


@pytest.mark.parametrize(
    ("make", "published"),
    [
        (lambda: CrossAttentionUNet(ldm_unet()), 403_623_939),
        (lambda: DynamicDiffuser(dynamic_diffuser_unet()), 13_136_321),
        (lambda: VAE(vae_256()), 55_312_063),
        (lambda: VAE(vae_512()), 83_639_999),
        (lambda: TextTokensConfig().build(), 166_590_080),
        (lambda: MaskTokensConfig().build(), 656_000),
    ],
    ids=["uni-modal", "dynamic diffuser", "vae 256", "vae 512", "text", "mask"],
)
def test_published_number_of_parameters(make, published: int) -> None:
    assert count(make) == published


def test_mini_dynamic_diffusers_are_small() -> None:
    """Two of them, for a hair map and seven face parts, have 0.34M parameters, a seventh of their two experts."""
    small = sum(count(lambda c=c: DynamicDiffuser(mini_dynamic_diffuser(3 + c))) for c in (1, 7))
    assert 0.3e6 < small < 0.35e6
    assert small * 6.5 < sum(count(lambda c=c: UNet(mini_unet(3 + c, 3))) for c in (1, 7))


@pytest.mark.parametrize("config", [SMALL, mini_unet(3, 3)], ids=["tokens", "maps"])
def test_fresh_networks_give_zeros(config) -> None:
    tokens = torch.randn(2, 5, 24)
    network = CrossAttentionUNet(config) if config is SMALL else UNet(config)
    z = torch.randn(2, 3, 16, 16)
    out = network(z, torch.tensor([3, 900]), tokens) if config is SMALL else network(z, torch.tensor([3, 900]))
    assert torch.equal(out, torch.zeros_like(z))


def test_rows_of_the_u_net_do_not_touch_each_other() -> None:
    network = randomized(CrossAttentionUNet(SMALL)).eval()
    z, t, tokens = torch.randn(3, 3, 16, 16), torch.tensor([3, 500, 900]), torch.randn(3, 5, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            network(z, t, tokens)[1:2], network(z[1:2], t[1:2], tokens[1:2]), rtol=1e-4, atol=1e-4
        )


def mask(seed: int = 0) -> Tensor:
    labels = torch.randint(0, 19, (2, 16, 16), generator=torch.Generator().manual_seed(seed))
    return 255 * nn.functional.one_hot(labels, 19).permute(0, 3, 1, 2).to(torch.uint8)


@pytest.mark.parametrize("class_embedding", [False, True])
def test_permuting_the_classes_of_a_mask(class_embedding: bool) -> None:
    """The released encoder cannot tell hair from background; with a class embedding it can."""
    encoder = randomized(MaskTokensConfig(width=24, side=16, class_embedding=class_embedding).build())
    network = randomized(CrossAttentionUNet(SMALL)).eval()
    z, t = torch.randn(2, 3, 16, 16), torch.tensor([100, 900])
    permuted = mask()[:, torch.randperm(19, generator=torch.Generator().manual_seed(1))]
    with torch.no_grad():
        difference = (network(z, t, encoder(mask())) - network(z, t, encoder(permuted))).abs().max()
    assert difference > 1e-3 if class_embedding else difference < 1e-4


def test_absent_classes_give_the_same_token() -> None:
    encoder = MaskTokensConfig(width=24, side=16).build()
    tokens = encoder(torch.zeros(1, 19, 16, 16, dtype=torch.uint8))
    assert torch.equal(tokens, encoder.linear.bias.expand(1, 19, 24))


def test_text_depends_on_words_and_their_order() -> None:
    config = TextTokensConfig(
        vocabulary=("he", "is", "young", "old"), width=16, num_layers=2, num_heads=2, head_dim=4, max_length=6
    )
    encoder = config.build()
    tokens = encoder(["He is young.", "is he young", "he is a teen", "he is a child", "he is very very young and old"])
    assert tokens.shape == (5, 6, 16)
    assert not torch.allclose(tokens[0], tokens[1])
    torch.testing.assert_close(tokens[2], tokens[3])  # unknown words are one word
    assert encoder.tokenize(["he is very very young and old"]).shape == (1, 6)  # cut


def test_scale_is_measured() -> None:
    vae = randomized(VAE(SMALL_VAE))
    images, noise = torch.rand(4, 3, 16, 16) * 2 - 1, torch.randn(4, 3, 8, 8)
    with pytest.raises(ValueError, match="never measured"):
        vae.encode(images, noise)
    samples = sample_posterior(vae.moments(images), noise)
    scale = vae.measure_scale([samples[:3], samples[3:]])
    assert scale == pytest.approx(1 / samples.std(correction=0).item(), rel=1e-5)
    assert vae.encode(images, noise).std(correction=0).item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(vae.decode(vae.encode(images, noise)), vae.reconstruct(samples), rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="samples that vary"):
        vae.measure_scale([])
    with pytest.raises(ValueError, match=r"expected \[B, 3, 16, 16\]"):
        vae.moments(torch.zeros(1, 3, 32, 32))


def test_kl_divergence_is_the_textbook_one() -> None:
    moments = torch.randn(3, 6, 4, 4, dtype=torch.float64)
    mean, log_variance = moments.chunk(2, dim=1)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum((1, 2, 3))
    torch.testing.assert_close(kl_divergence(moments), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 5}, "32 channels do not divide into 5 heads"),
        ({"attention_levels": (2,)}, "must lie in 0..1"),
        ({"norm_groups": 32}, "multiples of norm_groups 32"),
    ],
)
def test_impossible_shapes(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossAttentionUNetConfig(**{**vars(SMALL), **change})


def test_a_thin_line_of_a_sketch_is_not_lost() -> None:
    """A larger sketch is max-pooled: it has the token of the sketch that has an edge wherever a cell holds one."""
    config = MaskTokensConfig(name="sketch_tokens", source="sketch", num_classes=1, side=4, width=8, pooled=True)
    encoder, fine, coarse = config.build(), *(torch.zeros(1, 1, side, side, dtype=torch.uint8) for side in (16, 4))
    fine[..., 6, :], coarse[..., 1, :] = 255, 255
    assert torch.equal(encoder(fine), encoder(coarse))
    assert config.source_size is None
    with pytest.raises(UserError, match="sketch is"):
        encoder(torch.zeros(1, 1, 6, 6, dtype=torch.uint8))
