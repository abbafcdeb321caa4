"""Latent diffusion: the loss on scaled latents, tokens once per batch, cached posteriors, and experts of any kind together."""

import pytest
import torch
from tiny import randomized
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.methods.collaborative.model import Collaborative, CollaborativeConfig, Collaborator
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.diffusion import Encoded
from lightning_mmdiff.models.latent_denoiser import LatentDenoiser, LatentDenoiserConfig
from lightning_mmdiff.models.latents import Moments, write_moments
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig
from lightning_mmdiff.networks.tokens import MaskTokensConfig, TextTokensConfig
from lightning_mmdiff.networks.vae import VAE, VAEConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.schedules import Sampler

MASK = MaskTokensConfig(num_classes=3, side=8, width=12)
TEXT = TextTokensConfig(vocabulary=("young", "old"), width=12, num_layers=1, num_heads=2, head_dim=4, max_length=4)
SAMPLER = Sampler(name="ddim", num_steps=3, eta=1.0, clip=False, spacing="leading")


def unet(out_channels: int = 3, **change) -> CrossAttentionUNetConfig:
    shape = {"channels": (8, 16), "attention_levels": (1,), "num_res_blocks": 1, "num_heads": 2, "norm_groups": 4}
    return CrossAttentionUNetConfig(in_channels=3, out_channels=out_channels, context_dim=12, **{**shape, **change})


def vae() -> VAE:
    model = randomized(VAE(VAEConfig(image_size=16, channels=(4, 8), num_res_blocks=1, norm_groups=4)))
    model.scale.fill_(0.8)
    return model


def latent_denoiser(conditions=MASK, seed: int = 0, *, autoencoder: VAE | None = None, **options) -> LatentDenoiser:
    config = LatentDenoiserConfig(network=unet(), conditions=conditions, **options)
    model = LatentDenoiser(config, autoencoder=autoencoder or vae(), sampler=SAMPLER, seed=seed)
    randomized(model.network, seed)
    return model.eval()


def batch(size: int = 4) -> dict:
    g = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (size, 8, 8), generator=g)
    mask = 255 * torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).to(torch.uint8)
    image = torch.randint(0, 256, (size, 3, 16, 16), generator=g, dtype=torch.uint8)
    captions = ["a young man", "old", "young", "an old lady"][:size]
    return {"index": torch.arange(size), "image": image, "conditions": {"mask": mask, "caption": captions}}


def test_loss_is_the_error_on_scaled_samples_of_the_posterior() -> None:
    model = latent_denoiser()
    g = seeding.step_generator(0, 0)
    loss = model.loss(batch(), seeding.step_generator(0, 0))
    mean, log_variance = model.autoencoder.moments(images.to_float(batch()["image"])).chunk(2, 1)
    z0 = 0.8 * (mean + (log_variance / 2).exp() * torch.randn(4, 3, 8, 8, generator=g))
    t = torch.randint(1000, (4,), generator=g)
    eps = torch.randn(z0.shape, generator=g)
    alpha, sigma = (x[t].float().view(-1, 1, 1, 1) for x in (model.schedule.alpha, model.schedule.sigma))
    tokens = model.condition_encoder(batch()["conditions"]["mask"])
    expected = (model.network(alpha * z0 + sigma * eps, t, tokens) - eps).square().mean()
    torch.testing.assert_close(loss, expected)
    assert model.schedule.betas[0].item() == pytest.approx(0.0015)  # latent diffusion's schedule
    assert model.schedule.betas[-1].item() == pytest.approx(0.0195)


@pytest.mark.parametrize("prediction", ["v", "z0"])
def test_all_predictions_give_noise(prediction: str) -> None:
    model = latent_denoiser(prediction=prediction)
    z0, eps, t = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8), torch.tensor([300, 700])
    target = {"v": model.schedule.v_target(z0, eps, t), "z0": z0}[prediction]
    model.network.forward = lambda z, t, tokens: target
    found = model.predict_eps(model.schedule.add_noise(z0, eps, t), t, Encoded(embedding=torch.zeros(2, 3, 12)))
    torch.testing.assert_close(found, eps, atol=1e-4, rtol=1e-4)


def test_condition_encoder_learns_and_the_autoencoder_does_not(tmp_path) -> None:
    for conditions in (MASK, TEXT):
        model = latent_denoiser(conditions)
        model.loss(batch(), seeding.step_generator(0, 0)).backward()
        assert all(p.grad is not None for p in model.condition_encoder.parameters())
        assert all(p.grad is None for p in model.autoencoder.parameters())
    checkpoints.save_weights(model, tmp_path / "w.safetensors", {})
    other = latent_denoiser(TEXT, seed=3, autoencoder=model.autoencoder)
    checkpoints.load_weights(other, tmp_path / "w.safetensors")
    other.sampling_seed = 0
    assert torch.equal(other.predict_step(batch()), model.predict_step(batch()))
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert not any(name.startswith("autoencoder") for name in checkpoint["state_dict"])


def test_samples_are_decoded_latents() -> None:
    model = latent_denoiser()
    found = model.predict_step(batch())
    assert found.shape == (4, 3, 16, 16)
    model.autoencoder.scale.mul_(2)  # the same latents mean other images
    assert not torch.equal(found, model.predict_step(batch()))


def test_absent_and_dropped_conditions_are_null() -> None:
    always, never = latent_denoiser(drop_probability=1.0), latent_denoiser()
    without = {**batch(), "conditions": {}}
    g = lambda: seeding.step_generator(0, 0)  # noqa: E731
    torch.testing.assert_close(always.loss(batch(), g()), never.loss(without, g()))
    assert always.loss(batch(), g()) != never.loss(batch(), g())


def test_tokens_are_made_once_per_batch() -> None:
    model, calls = latent_denoiser(TEXT), []
    encode = model.condition_encoder.forward
    model.condition_encoder.forward = lambda captions: calls.append(1) or encode(captions)
    model.predict_step(batch())
    Composable([Expert(denoiser=model, conditions=("text_tokens",))], sampler=SAMPLER).predict_step(batch())
    assert len(calls) == 2  # one for each sampling of three steps


def test_cached_posteriors_change_nothing(tmp_path) -> None:
    model = latent_denoiser()
    path = tmp_path / "moments.npy"
    parts = [{k: v[i : i + 2] for k, v in batch().items() if k != "conditions"} for i in (2, 0)]  # in any order
    write_moments(model.autoencoder, parts, 4, path)
    expected = model.loss(batch(), seeding.step_generator(0, 0))
    cached = {**batch(), "moments": Moments(path, model.shape)(batch()["index"])}
    model.autoencoder.moments = None  # never called again
    torch.testing.assert_close(model.loss(cached, seeding.step_generator(0, 0)), expected, rtol=1e-5, atol=1e-6)


def test_incomplete_and_foreign_caches(tmp_path) -> None:
    model = vae()
    with pytest.raises(ValueError, match=r"Latents of 2 of 4 images are missing \(first: \[2, 3\]\)"):
        write_moments(model, [{"index": torch.arange(2), "image": batch()["image"][:2]}], 4, tmp_path / "m.npy")
    assert not list(tmp_path.iterdir())  # nothing half-written is left
    with pytest.raises(FileNotFoundError, match="write the latents of the training images first"):
        Moments(tmp_path / "m.npy", (3, 8, 8))
    write_moments(model, [batch()], 4, tmp_path / "m.npy")
    with pytest.raises(ValueError, match=r"moments of shape \[6, 8, 8\], this autoencoder has \[6, 4, 4\]"):
        Moments(tmp_path / "m.npy", (3, 4, 4))


def latent_experts() -> list[Expert]:
    shared = vae()
    return [
        Expert(denoiser=latent_denoiser(MASK, autoencoder=shared), conditions=("mask_tokens",)),
        Expert(denoiser=latent_denoiser(TEXT, 1, autoencoder=shared), conditions=("text_tokens",)),
    ]


def test_every_way_to_combine_takes_latent_experts() -> None:
    experts = latent_experts()
    collaborators = tuple(Collaborator(conditions=e.conditions, network=unet(1)) for e in experts)
    fresh = Collaborative(
        [e.denoiser for e in experts], CollaborativeConfig(collaborators=collaborators), sampler=SAMPLER
    )
    average = Composable(experts, sampler=SAMPLER)
    assert torch.equal(fresh.predict_step(batch()), average.predict_step(batch()))
    united = UniteAndConquer(experts, sampler=SAMPLER).predict_step(batch())
    assert united.shape == (4, 3, 16, 16)
    assert not torch.equal(united, average.predict_step(batch()))

    randomized(fresh.diffusers)
    assert fresh.sample_with_influence(batch())[1].shape == (3, 2, 4, 8, 8)  # on latent positions
    fresh.loss(batch(), seeding.step_generator(0, 0)).backward()
    assert all(p.grad is not None for p in fresh.diffusers.parameters())
    assert all(p.grad is None for p in fresh.models.parameters())


def test_collaboration_follows_each_condition() -> None:
    experts = latent_experts()
    collaborators = tuple(Collaborator(conditions=e.conditions, network=unet(1)) for e in experts)
    model = Collaborative(
        [e.denoiser for e in experts], CollaborativeConfig(collaborators=collaborators), sampler=SAMPLER
    )
    randomized(model.diffusers)
    z, t = torch.randn(1, 3, 8, 8), torch.tensor(500)

    def influence(**change) -> Tensor:
        value = {k: v[:1] for k, v in batch()["conditions"].items()}
        with torch.no_grad():
            return model.influence(z, t, model.encode_conditions(value | change))

    plain = influence()
    assert (plain - influence(caption=["old"])).abs().max() > 1e-6
    assert (plain - influence(mask=batch()["conditions"]["mask"][1:2])).abs().max() > 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LatentDenoiser(
                LatentDenoiserConfig(network=unet(), conditions=MASK), autoencoder=vae(),
                sampler=Sampler(name="ddim", num_steps=2),
            ),
            "clip=False",
        ),
        (
            lambda: latent_denoiser(MaskTokensConfig(num_classes=3, side=8, width=10)),
            "tokens of width 12; the condition gives 10",
        ),
        (lambda: LatentDenoiserConfig(network=unet(2), conditions=MASK), "reads 3 channels and makes 2"),
        (lambda: latent_denoiser(drop_probability=1.5), r"drop_probability=1.5; expected a number in \[0, 1\]"),
        (
            lambda: latent_denoiser().network(torch.zeros(1, 3, 8, 8), torch.tensor([1]), torch.zeros(2, 3, 12)),
            r"tokens are \[2, 3, 12\]",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_published_training_settings() -> None:
    config = LatentDenoiserConfig(network=unet(), conditions=MASK)
    assert config.optimizer == OptimizerConfig(lr=6.4e-5, weight_decay=0.01)  # 2e-6 x 4 GPUs x 8 images
    assert config.drop_probability == 0
