"""The autoencoder's losses as released: sums over pixels, hinge, adaptive weight; who learns from what."""

import pytest
import torch
from lightning import Trainer
from safetensors.torch import save_file
from tiny import randomized
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules.config import DataConfig
from experiments.core import build
from experiments.runs import TrainerConfig, TrainRun
from lightning_mmdiff import images, seeding
from lightning_mmdiff.models.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    adaptive_weight,
    hinge_loss,
    reconstruction_loss,
)
from lightning_mmdiff.networks.vae import VAEConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.run_folder import RunFolder

VAE = VAEConfig(image_size=32, channels=(4, 8), num_res_blocks=1, norm_groups=4)


class Distance(nn.Module):
    """Stands for LPIPS: mean squared difference of a frozen convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.layer(x) - self.layer(y)).square().mean(dim=(1, 2, 3), keepdim=True)


class OfPairs(nn.Module):
    """A distance from a network of both images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.network(torch.cat([x, y], dim=1))


def autoencoder(*, perceptual: bool = True, **options) -> Autoencoder:
    optimizer = OptimizerConfig(lr=1e-3, betas=(0.5, 0.9))
    config = AutoencoderConfig(
        vae=VAE, perceptual_weight=float(perceptual), scale_batches=2, optimizer=optimizer, **options
    )
    torch.manual_seed(0)
    return Autoencoder(config, perceptual=Distance() if perceptual else None)


def batch(size: int = 3) -> dict:
    g = torch.Generator().manual_seed(1)
    return {"image": torch.randint(0, 256, (size, 3, 32, 32), generator=g, dtype=torch.uint8)}


def test_reconstruction_loss_sums_over_pixels() -> None:
    x, y = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    perceptual = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1)
    assert reconstruction_loss(x, y, perceptual).item() == pytest.approx(48 * (0.5 + 0.5))  # mean over two images
    assert reconstruction_loss(x, y, 0.0).item() == pytest.approx(48 * 0.5)


def test_hinge_loss() -> None:
    assert hinge_loss(torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 1.0])).item() == pytest.approx((0.5 + 1.0) / 2)
    assert hinge_loss(torch.tensor([1.0]), torch.tensor([-1.0])).item() == 0


def test_adaptive_weight_is_the_ratio_of_gradients() -> None:
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    assert adaptive_weight((6 * w).sum(), (2 * w).sum(), w).item() == pytest.approx(3, rel=1e-3)
    assert adaptive_weight((1e9 * w).sum(), (2 * w).sum(), w).item() == 1e4


def test_loss_before_the_discriminator_is_equation_8() -> None:
    model = autoencoder()
    loss = model.loss(batch(), seeding.step_generator(0, 0))
    x = images.to_float(batch()["image"])
    mean, log_variance = model.vae.moments(x).chunk(2, 1)
    sample = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=seeding.step_generator(0, 0))
    y = model.vae.reconstruct(sample)
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 3
    expected = (x - y).abs().sum() / 3 + model.perceptual(x, y).mean() * x[0].numel() + 1e-6 * kl
    torch.testing.assert_close(loss, expected)


def test_discriminator_learns_from_its_start_on() -> None:
    before, after = autoencoder(adversarial_start=1), autoencoder(adversarial_start=0)
    for model in (before, after):
        randomized(model.discriminator, seed=1)
        model.loss(batch(), seeding.step_generator(0, 0)).backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in before.discriminator.parameters())
    assert all(p.grad.abs().sum() > 0 for p in after.discriminator.parameters())
    assert all(p.grad is None for p in after.perceptual.parameters())
    change = before.vae.network.decoder.conv_out.weight.grad - after.vae.network.decoder.conv_out.weight.grad
    assert change.abs().max() > 0


def test_neither_network_gets_the_gradient_of_the_other() -> None:
    """Both losses share one backward pass: the autoencoder learns to fool, the discriminator to tell apart."""
    model = autoencoder(perceptual=False, adversarial_start=0)
    x = images.to_float(batch()["image"])
    y = model.vae.reconstruct(torch.randn(3, 3, 16, 16))
    reconstruction = reconstruction_loss(x, y, 0.0)
    sum(model._adversarial(model.discriminator, x, y, reconstruction)).backward(retain_graph=True)
    found = [p.grad.clone() for p in (*model.discriminator.parameters(), *model.vae.network.decoder.parameters())]

    model.zero_grad()
    last = model.vae.network.decoder.conv_out.weight
    fool = -model.discriminator(y).mean()
    (0.5 * adaptive_weight(reconstruction, fool, last) * fool).backward(retain_graph=True)
    decoder = [p.grad.clone() for p in model.vae.network.decoder.parameters()]
    model.zero_grad()
    hinge_loss(model.discriminator(x), model.discriminator(y.detach())).backward()
    evaluator = [p.grad.clone() for p in model.discriminator.parameters()]
    for ours, expected in zip(found, [*evaluator, *decoder]):
        torch.testing.assert_close(ours, expected)


def test_training_measures_the_scale_and_stores_no_perceptual_network(tmp_path) -> None:
    model = autoencoder(adversarial_start=1)
    trainer = Trainer(
        max_steps=3, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(model, DataLoader([batch()] * 4, batch_size=None))
    with torch.no_grad():
        samples = torch.cat(list(model.posterior_samples(iter([batch()] * 2))))
    assert model.vae.scale.item() == pytest.approx(1 / samples.std(correction=0).item(), rel=1e-5)
    assert not model.perceptual.training

    checkpoints.save_weights(model, tmp_path / "w.safetensors", {})
    other = autoencoder()
    checkpoints.load_weights(other, tmp_path / "w.safetensors")
    assert other.vae.scale == model.vae.scale
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert not any(name.startswith("perceptual") for name in checkpoint["state_dict"])


def test_training_leaves_the_perceptual_network_without_dropout() -> None:
    """LPIPS has dropout; the released code leaves it on, since ``train()`` reaches it after its own ``eval()``."""
    noisy = nn.Sequential(nn.Conv2d(6, 1, 1), nn.Dropout(), nn.AdaptiveAvgPool2d(1))
    config = AutoencoderConfig(vae=VAE, perceptual_weight=1.0, adversarial_weight=0.0)
    model = Autoencoder(config, perceptual=OfPairs(noisy)).train()
    assert model.vae.training
    losses = [model.loss(batch(), seeding.step_generator(0, 0)).item() for _ in range(3)]
    assert losses[0] == losses[1] == losses[2]
    noisy.train()
    assert model.loss(batch(), seeding.step_generator(0, 0)).item() != losses[0]


def test_the_vae_loads_without_the_networks_of_its_loss(monkeypatch, tmp_path) -> None:
    """As models of latents use it: no discriminator and no VGG is built or read; the file may have the VAE's weights alone."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("MMDIFF_WEIGHTS", raising=False)
    model = autoencoder()
    model.vae.scale.fill_(0.3)
    run = TrainRun(
        name="autoencoder", model=AutoencoderConfig(vae=VAE), batch_size=1,
        data=(DataConfig(dataset="digits", image_size=32, conditions=()),),
        trainer=TrainerConfig(max_steps=1, checkpoint_every=1),
    )  # fmt: skip
    path = RunFolder(tmp_path / run.name).weights
    path.parent.mkdir()
    whole = {name: value.contiguous() for name, value in model.state_dict().items() if "perceptual" not in name}
    for stored in (whole, {name: value for name, value in whole.items() if name.startswith("vae.")}):
        save_file(stored, path)
        found = build.helper(run, tmp_path)
        assert isinstance(found, nn.Module)
        assert found.state_dict().keys() == model.vae.state_dict().keys()
        assert all(torch.equal(value, model.vae.state_dict()[name]) for name, value in found.state_dict().items())


def test_without_vgg_the_reason_is_said(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("MMDIFF_WEIGHTS", raising=False)
    with pytest.raises(FileNotFoundError, match=r"vgg16-397923af.pth is missing"):
        Autoencoder(AutoencoderConfig(vae=VAE))
    assert Autoencoder(AutoencoderConfig(vae=VAE, perceptual_weight=0.0)).perceptual is None


def test_it_learns_to_reconstruct() -> None:
    small = VAEConfig(image_size=8, channels=(4, 8), num_res_blocks=1, norm_groups=4)
    optimizer = OptimizerConfig(lr=1e-2, betas=(0.5, 0.9))
    config = AutoencoderConfig(vae=small, perceptual_weight=0.0, adversarial_weight=0.0, optimizer=optimizer)
    model, eight = Autoencoder(config), {"image": batch()["image"][..., :8, :8]}
    step = model.configure_optimizers()["optimizer"]
    losses = []
    for number in range(15):
        step.zero_grad()
        losses.append(model.loss(eight, seeding.step_generator(0, number)))
        losses[-1].backward()
        step.step()
    assert losses[-1] < 0.9 * losses[0]
