"""StyleGAN2's layers against explicit forms, TediGAN's encoder, the search for a text, and both trainings."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import small_runs
import torch
import torch.nn.functional as F  # noqa: N812
from small import millions
from torch import Tensor, nn

from datamodules.mini.layouts import write_celebamask_hq, write_ffhq
from experiments.core.workspace import prepare_data
from experiments.runs import SampleRun, TrainerConfig, TrainRun
from lightning_mmdiff import seeding
from lightning_mmdiff.baselines.pyramid_encoder import PyramidConfig, PyramidEncoder
from lightning_mmdiff.baselines.stylegan2 import (
    StyleDiscriminator,
    StyleGAN2Config,
    StyleGenerator,
    gradient_penalty,
    group_deviation,
)
from lightning_mmdiff.baselines.stylegan2_layers import ModulatedConvolution, doubled, smooth
from lightning_mmdiff.baselines.tedigan import MaskEncoder, MaskEncoderConfig, TediGAN, TextSearch, rate
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.images import to_float, to_uint8
from lightning_mmdiff.runtime.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")


def test_sizes() -> None:
    with torch.device("meta"):
        generator, encoder = StyleGenerator(StyleGAN2Config()), PyramidEncoder(PyramidConfig(), 19, 256, 18)
    assert (millions(generator), millions(encoder)) == (30.37, 267.15)


@pytest.mark.parametrize("doubles", [False, True])
def test_scaling_inputs_and_outputs_is_scaling_and_demodulating_the_weights_of_each_image(doubles: bool) -> None:
    layer, x, style = ModulatedConvolution(5, 7, 3, 4, doubles=doubles), torch.randn(3, 5, 8, 8), torch.randn(3, 4)
    for i, scales in enumerate(layer.modulation(style)):
        weight = layer.scale * layer.weight * scales[:, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        assert torch.allclose(weight.flatten(1).norm(dim=1), torch.ones(7), atol=1e-4)
        if doubles:  # zeros between the pixels, the convolution, then smoothing with the gain of the zeros
            spread = torch.zeros(1, 5, 17, 17)
            spread[:, :, ::2, ::2] = F.pad(x[i : i + 1], (0, 1, 0, 1))
            plain = F.conv2d(F.pad(spread[:, :, :15, :15], (2, 2, 2, 2)), weight.flip(2, 3))
            expected = 4 * smooth(plain, 1)
        else:
            expected = F.conv2d(x[i : i + 1], weight, padding=1)
        assert torch.allclose(layer(x, style)[i : i + 1], expected, atol=1e-5)


def test_unit_inputs_stay_at_unit_deviation_whatever_the_style() -> None:
    layer, x = ModulatedConvolution(64, 64, 3, 8), torch.randn(2, 64, 32, 32)
    for factor in (0.1, 1, 30):
        out = layer(x, factor * torch.randn(2, 8))[:, :, 1:-1, 1:-1]
        assert out.std().item() == pytest.approx(1, abs=0.1)


def test_doubling_and_smoothing_keep_a_constant() -> None:
    x = torch.full((1, 2, 6, 6), 3.0)
    assert torch.allclose(doubled(x)[:, :, 2:-2, 2:-2], torch.tensor(3.0))
    assert torch.allclose(smooth(x, 2)[:, :, 2:-2, 2:-2], torch.tensor(3.0))
    assert doubled(x).shape == (1, 2, 12, 12)


def test_a_style_acts_in_its_own_layers_only() -> None:
    network = StyleGenerator(small.STYLEGAN2).eval()
    styles = torch.randn(1, network.num_styles, 8)
    changed = styles.clone()
    changed[:, -1] = 0  # colors of the last size
    difference = network(changed) - network(styles)
    last = network.to_rgb[-1]
    before: list[Tensor] = []
    last.register_forward_hook(lambda *call: before.append(call[2]))
    network(styles), network(changed)
    assert torch.allclose(difference, before[1] - before[0], atol=1e-5)


def test_equal_images_have_no_deviation_and_a_linear_discriminator_a_known_penalty() -> None:
    x = torch.randn(1, 3, 4, 4).expand(8, -1, -1, -1)
    assert group_deviation(x).amax() < 2e-4
    assert group_deviation(torch.stack([torch.zeros(3, 4, 4), 2 * torch.ones(3, 4, 4)])).eq(1).all()
    real = torch.randn(4, 3, 4, 4, requires_grad=True)
    assert gradient_penalty(real.sum(dim=(1, 2, 3))[:, None], real) == pytest.approx(3 * 4 * 4)
    assert StyleDiscriminator((4, 4))(torch.randn(6, 3, 8, 8)).shape == (6, 1)


def test_half_of_the_images_mix_two_styles() -> None:
    model = replace(small.STYLEGAN2, mixing=0.5).build(seed=0)
    seen: list[Tensor] = []
    model.generator.register_forward_hook(lambda *call: seen.append(call[1][0]))
    model.training_fake(400, seeding.step_generator(0, 0))
    styles = seen[0]
    mixed = styles[:, 0].ne(styles[:, -1]).any(dim=1)
    assert 0.4 < mixed.float().mean() < 0.6
    assert styles[mixed, 1].eq(styles[mixed, 0]).all(dim=1).any()


def test_the_rate_rises_and_falls() -> None:
    assert [rate(0.0), rate(0.025), rate(0.05), rate(0.75)] == pytest.approx([0, 0.5, 1, 1])
    assert rate(0.875) == pytest.approx(0.5)
    assert rate(1 - 1e-9) == pytest.approx(0, abs=1e-6)


class Brightness(nn.Module):
    """An image-text model: "bright" agrees with white images, "dark" with black ones."""

    def embed_text(self, captions: list[str]) -> Tensor:
        return torch.tensor([[1.0 if caption == "bright" else -1.0] for caption in captions])

    def embed_pixels(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3))[:, None].tanh()


def encoder() -> MaskEncoder:
    config = MaskEncoderConfig(
        image_size=16, labels=small.MAPS, network=small.PYRAMID, perceptual="effnet-lite0", style_weight=0.0
    )
    torch.manual_seed(0)
    return config.build(seed=0, decoder=StyleGenerator(small.STYLEGAN2)).eval()


def test_the_text_moves_its_layers_and_no_other_and_the_same_text_moves_them_the_same_way() -> None:
    model, search = encoder(), TextSearch(num_steps=30, lr=0.05, style_weight=0.0, pixel_weight=0.0)
    maps = {name: torch.randint(256, (4, 1, 16, 16), dtype=torch.uint8) for name, _ in small.MAPS}
    batch = {"index": torch.arange(4), "conditions": {**maps, "caption": ["bright", "dark", "bright", "dark"]}}
    both = TediGAN(encoder=small.SOURCE, embedder=small.SOURCE, search=search, mask_share=0.0)
    sources = iter([model, Brightness()])
    images = to_float(both.build(lambda _: next(sources), sampler=None, seed=0).predict_step(batch))
    assert torch.equal(images[0], images[2])
    assert images[0].mean() > images[1].mean() + 0.2
    alone = TediGAN(encoder=small.SOURCE).build(lambda _: model, sampler=None, seed=0)
    sources = iter([model, Brightness()])
    masks_only = replace(both, mask_share=1.0).build(lambda _: next(sources), sampler=None, seed=0)
    assert torch.equal(masks_only.predict_step(batch), alone.predict_step(batch))


def test_without_a_text_the_other_layers_may_be_those_of_a_random_face_of_the_image() -> None:
    model = encoder()
    maps = {name: torch.randint(256, (4, 1, 16, 16), dtype=torch.uint8) for name, _ in small.MAPS}
    index = torch.arange(4)

    def images(share: float, seed: int, rows: slice = slice(None)) -> Tensor:
        method = TediGAN(encoder=small.SOURCE, random_rest=True, mask_share=share)
        part = {"index": index[rows], "conditions": {name: value[rows] for name, value in maps.items()}}
        return method.build(lambda _: model, sampler=None, seed=seed).predict_step(part)

    alone = TediGAN(encoder=small.SOURCE).build(lambda _: model, sampler=None, seed=0)
    assert torch.equal(images(1.0, 0), alone.predict_step({"index": index, "conditions": maps}))
    for share in (0.0, 0.5):
        assert (images(share, 0)[2:3].int() - images(share, 0, slice(2, 3))).abs().max() <= 1
        assert not torch.equal(images(share, 0), images(share, 1))
    z = torch.stack([torch.randn(8, generator=seeding.image_generator(0, i)) for i in range(4)])
    random = model.decoder(model.decoder.style(z)[:, None].expand(-1, 6, -1))
    assert torch.equal(images(0.0, 0), to_uint8(random))


def test_styles_start_at_the_mean_and_widths_must_agree() -> None:
    model = encoder()
    heads: Any = model.encoder.heads
    for head in heads:
        nn.init.zeros_(head.linear.weight)
    like = torch.zeros(2, 3, 16, 16)
    assert torch.equal(model.styles({}, like), model.mean_style.expand(2, 6, 8))
    with pytest.raises(UserError, match="styles have 8 numbers; the encoder's last width is 16"):
        replace(model.config, network=replace(small.PYRAMID, widths=(8, 8, 16))).build(seed=0, decoder=model.decoder)


def test_the_encoder_learns_under_a_frozen_generator_and_its_faces_depend_on_the_masks(tmp_path: Path) -> None:
    write_celebamask_hq(tmp_path / "CelebAMask-HQ", count=40, image_size=16, seed=0)
    write_ffhq(tmp_path / "ffhq", count=40, image_size=16, seed=0)
    place, trainer = small_runs.workspace(tmp_path, tmp_path), TrainerConfig(max_steps=12, checkpoint_every=6)
    faces = replace(small_runs.HAIR, conditions=())
    generator = TrainRun(name="stylegan2", model=small.STYLEGAN2, data=(faces,), batch_size=4, trainer=trainer)
    pairs = tuple(replace(data, conditions=("hair", "skin")) for data in (small_runs.HAIR, small_runs.SKIN))
    run = TrainRun(name="encoder", model=encoder().config, data=pairs, batch_size=4, trainer=trainer, decoder=generator)
    sample = SampleRun(name="images", method=TediGAN(encoder=run), data=pairs[0], num_images=8)
    prepare_data(place, [generator, run, sample])
    small_runs.do(place, generator, run, sample)
    images = np.load(next(RunFolder(place.runs / "images").samples.glob("*.npy")))
    assert images.shape == (8, 3, 16, 16)
    assert len({image.tobytes() for image in images}) == 4  # there are so many test images
    size = RunFolder(place.runs / "encoder").weights.stat().st_size
    count = sum(p.numel() for p in PyramidEncoder(small.PYRAMID, 3, 16, 6).state_dict().values())
    assert size < 4 * count + 40_000  # without the generator and the perceptual network
    assert math.isfinite(images.std())
