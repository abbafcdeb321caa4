"""Networks of released models, by their key maps: GLIDE's and latent diffusion's; and one whole united trajectory.

``glide`` was recorded by glide-text2im's Text2ImUNet and SuperResText2ImUNet (commit 69b5307) with 32 channels, 20 tokens;
its trajectories by ``guided_diffusion/diffusion_test.py:test_diff`` of Unite and Conquer (commit 584bea0): ADM and GLIDE united
(w = 5 and 5, a = 5/9 and 4/9, null class 0) in 20 steps, then upsampled in 10 from noise times .997 with the empty text; 8 pixels
in place of 64, 16 of 256, on the CPU. They are in float64: that code's float32 is 2.3e-5 and 9.4e-5 away, since weights of 5
amplify the rounding of every step. ``latent_diffusion`` was recorded by UNetModel, Encoder, Decoder and TransformerWrapper of
Collaborative Diffusion (commit b1ea7f8).
"""

from collections.abc import Callable

import pytest
import torch
from formulas import in_float64, numbers, recorded, recorded_names, trajectory, weight
from torch import Tensor, nn

from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.methods.upsampling import Upsampled
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.models.text_denoiser import TextDenoiser, TextDenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig
from lightning_mmdiff.networks.text_encoder import TextEncoderConfig
from lightning_mmdiff.networks.text_transformer import TextTransformer
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.networks.vae import VAE, VAEConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released import adm, glide
from lightning_mmdiff.released.checkpoint import SAME, Key
from lightning_mmdiff.released.latent_diffusion import autoencoder_key, text_name, unet_name
from lightning_mmdiff.schedules import Sampler

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
UNET = UNetConfig(
    in_channels=3, out_channels=6, channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(0, 1),
    head_channels=16, dropout=0.1,
)  # fmt: skip
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 19, 19, 19], [19] * 8])
MASK = torch.tensor([[True] * 5 + [False] * 3, [False] * 8])


def filled(module: nn.Module, key: Callable[[str, tuple[int, ...]], Key]) -> tuple[nn.Module, list[str]]:
    """``module`` with the reference's weights, and their names there, sorted."""
    state, names = {}, []
    for name, value in module.state_dict().items():
        place, shape = key(name, tuple(value.shape)), tuple(value.shape)
        theirs = tuple(place.layout.theirs(value).shape)
        state[name] = place.layout.ours(weight(place.name, theirs)).reshape(shape)
        names.append(place.name)
    module.load_state_dict(state)
    return module.eval(), sorted(names)


def text_denoiser(name: str) -> TextDenoiser:
    config = TextDenoiserConfig(
        network=UNetConfig(**{**vars(UNET), "context_dim": 32, "in_channels": 6 if name == "upsampler" else 3}),
        text=TextEncoderConfig(name=f"{name}_tokens", vocabulary_size=20, width=32, num_layers=2, num_heads=4, max_length=8),
        conditions=ConditionConfig(spatial=(("low_res", 3),) if name == "upsampler" else ()),
        image_size=16 if name == "upsampler" else 8, schedule="linear" if name == "upsampler" else "cosine",
        learned_variance=True, optimizer=OptimizerConfig(lr=1e-4),
    )  # fmt: skip
    model, names = filled(TextDenoiser(config), lambda n, shape: glide.keys(config, n, shape))
    assert names == recorded_names("glide", f"{name}_names")
    assert isinstance(model, TextDenoiser)
    model.text.tokenize = lambda texts: (TOKENS[:1].expand(len(texts), -1), MASK[:1].expand(len(texts), -1))
    return model


def class_denoiser() -> Denoiser:
    config = DenoiserConfig(
        network=UNetConfig(**{**vars(UNET), "num_classes": 5}), image_size=8, schedule="cosine", learned_variance=True,
        conditions=ConditionConfig(label=("label", 5), null_label=0), optimizer=OptimizerConfig(lr=1e-4),
    )  # fmt: skip
    model, names = filled(Denoiser(config), lambda n, shape: adm.our_order_keys(config, n, shape))
    assert names == recorded_names("glide", "adm_names")
    assert isinstance(model, Denoiser)
    return model


@pytest.mark.parametrize(("name", "size"), [("base", 8), ("upsampler", 16)])
@torch.no_grad()
def test_glide_with_a_text_and_with_the_empty_one(name: str, size: int) -> None:
    """Row 0 has a text of five tokens, row 1 the empty one, which is the null condition."""
    model, x = text_denoiser(name), numbers("x", 2, 3, size, size)
    vectors = model.text.encode(TOKENS, MASK)
    torch.testing.assert_close(model.text.empty()[0], vectors[1], **CLOSE)
    if name == "upsampler":
        low = nn.functional.interpolate(numbers("low", 2, 3, 4, 4), (16, 16), mode="bilinear", align_corners=False)
        x = torch.cat([x, low], dim=1)
    torch.testing.assert_close(model.network(x, torch.tensor([7, 913]), vectors), recorded("glide")[name], **CLOSE)


@torch.no_grad()
def test_united_trajectory_of_adm_and_glide_with_null_class_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole: from z_T to z_0 of 64 pixels, then to 256; the noise of the start is the reference's."""
    sampler = Sampler(name="spaced-ddim", num_steps=20, spacing="ddim20")
    experts = [
        Expert(denoiser=class_denoiser(), conditions=("label",), weight=5.0, reliability=5 / 9),
        Expert(denoiser=text_denoiser("base"), conditions=("base_tokens",), weight=5.0, reliability=4 / 9),
    ]
    united, golden = UniteAndConquer(experts, sampler=sampler), recorded("glide")
    batch = {"index": torch.arange(1), "conditions": {"label": torch.tensor([2]), "caption": ["a text"]}}
    in_float64(monkeypatch)
    found = trajectory(united.double(), numbers("z_T", 1, 3, 8, 8).double(), batch, monkeypatch)
    torch.testing.assert_close(found, golden["united"], **CLOSE)

    upsampler = Upsampled(
        united, text_denoiser("upsampler"), sampler=Sampler(name="spaced-ddim", num_steps=10), noise_scale=0.997
    )
    start = 0.997 * numbers("z_T up", 1, 3, 16, 16).double()
    batch["conditions"] = upsampler.with_small(golden["united"][-1])
    found = trajectory(upsampler.double(), start, batch, monkeypatch)
    torch.testing.assert_close(found, golden["upsampled"], **CLOSE)


@pytest.mark.parametrize(("key", "out_channels"), [("unet", 3), ("diffuser", 1)])
@torch.no_grad()
def test_unet_of_latent_diffusion(key: str, out_channels: int) -> None:
    """An expert's, and a dynamic diffuser's with its one output channel."""
    config = CrossAttentionUNetConfig(
        in_channels=3, out_channels=out_channels, channels=(32, 64, 96), attention_levels=(1, 2), num_res_blocks=2,
        num_heads=4, context_dim=24,
    )  # fmt: skip
    network = config.build()
    names = filled(network.network, lambda name, shape: Key(unet_name(config, name), SAME))[1]
    assert names == recorded_names("latent_diffusion", f"{key}_names")
    found = network.eval()(numbers("x", 2, 3, 8, 8), torch.tensor([7, 913]), numbers("context", 2, 5, 24))
    torch.testing.assert_close(found, recorded("latent_diffusion")[key], **CLOSE)


@torch.no_grad()
def test_autoencoder_of_latent_diffusion() -> None:
    config = VAEConfig(image_size=16, channels=(32, 64, 64), num_res_blocks=1)
    vae, golden = VAE(config).eval(), recorded("latent_diffusion")
    names = filled(vae.network, lambda name, shape: autoencoder_key(config, name, shape))[1]
    assert names == recorded_names("latent_diffusion", "vae_names")
    moments: Tensor = vae.network.quant_conv(vae.network.encoder(numbers("image", 1, 3, 16, 16).clamp(-1, 1)))
    torch.testing.assert_close(moments, golden["moments"], **CLOSE)
    torch.testing.assert_close(vae.reconstruct(numbers("latent", 1, 3, 4, 4)), golden["decoded"], **CLOSE)


@torch.no_grad()
def test_text_transformer_of_latent_diffusion() -> None:
    """Without its unused output layer, which the file holds too."""
    network = TextTransformer(20, max_length=8, width=24, num_layers=2, num_heads=8, head_dim=64)
    names = filled(network, lambda name, shape: Key(text_name(name), SAME))[1]
    assert names == [n for n in recorded_names("latent_diffusion", "text_names") if not n.startswith("to_logits.")]
    tokens = torch.tensor([[3, 1, 4, 1, 5, 0, 0, 0], [2, 6, 5, 3, 5, 8, 9, 7]])
    torch.testing.assert_close(network(tokens), recorded("latent_diffusion")["text"], **CLOSE)
