"""The released latent diffusion networks: sizes, files in diffusers' format, what further heads read."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from tiny import randomized
from torch import nn

from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig
from lightning_mmdiff.networks.stable_diffusion import (
    FILE,
    SCALE,
    kl_f8,
    latent_diffusion_320,
    load_autoencoder,
    load_unet,
    stable_diffusion_2,
)
from lightning_mmdiff.networks.vae import VAE, VAEConfig

SMALL = CrossAttentionUNetConfig(
    in_channels=4, out_channels=4, channels=(16, 32), attention_levels=(1,), num_res_blocks=1, num_heads=4,
    context_dim=24, norm_groups=8,
)  # fmt: skip
SMALL_VAE = VAEConfig(image_size=16, channels=(8, 16), num_res_blocks=1, norm_groups=8, latent_channels=4)


@pytest.mark.parametrize(
    ("make", "published"),
    [
        (lambda: CrossAttentionUNet(stable_diffusion_2()), 865_910_724),
        (lambda: CrossAttentionUNet(latent_diffusion_320()), 859_520_964),
        (lambda: VAE(kl_f8(256)), 83_653_863),
    ],
    ids=["Stable Diffusion 2", "App. E.1", "kl-f8"],
)
def test_published_number_of_parameters(make, published: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in make().parameters()) == published


def test_latents_of_the_papers_sizes() -> None:
    assert kl_f8(256).latent_shape == (4, 32, 32)
    assert kl_f8(768).latent_shape == (4, 96, 96)


def test_an_embedding_is_one_token_and_features_are_those_of_the_plain_pass() -> None:
    network = randomized(CrossAttentionUNet(SMALL)).eval()
    z, t, embedding = torch.randn(2, 4, 16, 16), torch.tensor([3, 900]), torch.randn(2, 24)
    output, hidden, middle = network.forward_with_features(z, t, embedding)
    assert torch.equal(output, network(z, t, embedding[:, None]))
    head = network.network
    assert torch.equal(output, head.conv_out(head.conv_act(head.conv_norm_out(hidden))))
    assert hidden.shape == (2, SMALL.output_width, 16, 16)
    assert middle.shape == (2, SMALL.middle_channels, 8, 8)
    null = network.forward_with_features(z, t)[0]
    assert torch.equal(null, network(z, t, torch.zeros(2, 3, 24)))  # any number of zeros is null
    assert not torch.allclose(null, output)
    assert not list(head.mid_block._forward_hooks)


def test_heads_per_level() -> None:
    per_level = replace(SMALL, num_heads=(2, 8))
    network = CrossAttentionUNet(per_level).network
    assert network.mid_block.attentions[0].transformer_blocks[0].attn1.heads == 8
    assert isinstance(
        CrossAttentionUNet(replace(SMALL, projection="linear")).network.mid_block.attentions[0].proj_in, nn.Linear
    )
    with pytest.raises(ValueError, match=r"num_heads \(2,\) must be one number, or one for each"):
        replace(SMALL, num_heads=(2,))
    with pytest.raises(ValueError, match="32 channels do not divide into 5 heads"):
        replace(SMALL, num_heads=(2, 5))


def stored(folder, part: str, module: nn.Module, rename=lambda name: name):
    path = folder / part / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({rename(name): value.contiguous() for name, value in module.state_dict().items()}, path)
    return path


def old_names(name: str) -> str:
    """As files of 2022 call the attention of the autoencoder."""
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        name = name.replace(f".{new}.", f".{old}.")
    return name


@pytest.mark.parametrize("rename", [lambda name: name, old_names], ids=["new names", "old names"])
def test_weights_in_diffusers_format(tmp_path, rename) -> None:
    vae, unet = randomized(VAE(SMALL_VAE)), randomized(CrossAttentionUNet(SMALL))
    stored(tmp_path, "vae", vae.network, rename)
    stored(tmp_path, "unet", unet.network)
    loaded, fresh = load_autoencoder(SMALL_VAE, tmp_path), CrossAttentionUNet(SMALL)
    load_unet(fresh, tmp_path)
    assert float(loaded.scale) == pytest.approx(SCALE)
    assert not any(p.requires_grad for p in loaded.parameters())
    for ours, theirs in ((loaded.network, vae.network), (fresh.network, unet.network)):
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value), name


def test_files_that_do_not_fit(tmp_path, monkeypatch) -> None:
    with pytest.raises(FileNotFoundError, match="unet.* is missing: get the folder stable-diffusion-2"):
        load_unet(CrossAttentionUNet(SMALL), tmp_path)
    path = stored(tmp_path, "unet", CrossAttentionUNet(replace(SMALL, num_res_blocks=2)).network)
    with pytest.raises(ValueError, match=r"is not the network expected: \d+ entries differ \(first: down_blocks"):
        load_unet(CrossAttentionUNet(SMALL), tmp_path)
    stored(tmp_path, "unet", CrossAttentionUNet(replace(SMALL, context_dim=12)).network)
    with pytest.raises(ValueError, match=r"entries differ \(first: .*attn2"):
        load_unet(CrossAttentionUNet(SMALL), tmp_path)
    with pytest.raises(ValueError, match="with cross-attention; this one is a Linear"):
        load_unet(nn.Linear(2, 2), tmp_path)
    path.write_bytes(b"half a download")
    with pytest.raises(ValueError, match="is damaged"):
        load_unet(CrossAttentionUNet(SMALL), tmp_path)
    for name in ("HF_HOME", "MMDIFF_WEIGHTS"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="stable-diffusion-2 is missing .*App. E.1 and E.4"):
        load_autoencoder(SMALL_VAE)
