"""Published weights of the baselines: random ones in the published layout, made here independently of the key maps."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_mmdiff.baselines.cyclegan import FORWARD, CycleGANConfig
from lightning_mmdiff.baselines.inade import InadeConfig
from lightning_mmdiff.baselines.labels import one_hot
from lightning_mmdiff.baselines.pix2pix import Pix2PixConfig
from lightning_mmdiff.baselines.pix2pixhd import Pix2PixHDConfig
from lightning_mmdiff.baselines.pyramid_encoder import PyramidConfig, PyramidEncoder
from lightning_mmdiff.baselines.stylegan2 import StyleGAN2Config, StyleGenerator
from lightning_mmdiff.baselines.tedigan import MaskEncoderConfig
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.released import catalogue, convert, inade, picture_to_picture, stylegan2
from lightning_mmdiff.released.checkpoint import PublishedFile
from lightning_mmdiff.released.reading import read_tensors

PIX2PIX, CYCLEGAN = picture_to_picture.FILES
STYLEGAN2, PSP = stylegan2.FILES
pytestmark = pytest.mark.usefixtures("one_thread")


class Numbered(nn.Module):
    """Layers under "model", numbered as in the published code, normalizations without parameters included."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PublishedBlock(nn.Module):
    """x plus "conv_block" of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.conv_block = nn.Sequential(*half, nn.ReLU(), *again)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


@pytest.fixture(autouse=True)
def _same_weights_in_any_order() -> None:
    torch.manual_seed(0)


def loaded(config: Any, *files: tuple[PublishedFile, dict[str, Tensor]]) -> Any:
    """Return the model of ``config`` with the tensors of published files; every one that a file is said to hold."""
    model = config.build_helper(seed=0).eval()
    for file, state in files:
        (checkpoint,) = file.checkpoints
        ours = convert.convert(
            replace(file, checkpoints=(replace(checkpoint, config=config),)), state, Path("published")
        )
        assert not model.load_state_dict(ours, strict=False).unexpected_keys
    return model


def published_resnet(channels_in: int, downs: int, blocks: int, width: int = 4) -> Numbered:
    layers: list[nn.Module] = [
        nn.ReflectionPad2d(3),
        nn.Conv2d(channels_in, width, 7),
        nn.InstanceNorm2d(width),
        nn.ReLU(),
    ]
    for i in range(downs):
        a, b = width * 2**i, width * 2 ** (i + 1)
        layers += [nn.Conv2d(a, b, 3, 2, 1), nn.InstanceNorm2d(b), nn.ReLU()]
    layers += [PublishedBlock(width * 2**downs) for _ in range(blocks)]
    for i in reversed(range(downs)):
        a, b = width * 2 ** (i + 1), width * 2**i
        layers += [nn.ConvTranspose2d(a, b, 3, 2, 1, output_padding=1), nn.InstanceNorm2d(b), nn.ReLU()]
    return Numbered([*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()])


def test_cyclegan_in_its_published_numbers_makes_the_same_images() -> None:
    published, x = published_resnet(3, 2, 3), torch.rand(2, 3, 32, 32) * 2 - 1
    config = CycleGANConfig(image_size=32, source="photo", width=4, num_blocks=3)
    state = published.state_dict()
    state["model.2.running_mean"] = torch.zeros(4)  # files of 2018 have such
    model = loaded(config, (CYCLEGAN, state))
    assert torch.allclose(model.generator[FORWARD](x), published(x), atol=1e-5)
    full = CycleGANConfig(image_size=256, source="photo")
    names = [picture_to_picture.resnet_name(k, 2, 9) for k in published_names(full)]
    assert {n.rsplit(".", 1)[0] for n in names} == {
        *(f"model.{i}" for i in (1, 4, 7, 19, 22, 26)), *(f"model.{i}.conv_block.{j}" for i in range(10, 19) for j in (1, 5))
    }  # fmt: skip


def published_names(config: CycleGANConfig) -> list[str]:
    with torch.device("meta"):
        return list(config.build(seed=0).generator[FORWARD].state_dict())


def test_pix2pixhd_has_the_numbers_of_its_global_generator() -> None:
    with torch.device("meta"):
        config = Pix2PixHDConfig(image_size=256, labels=(("mask", 18),), perceptual=None)
        names = [picture_to_picture.resnet_name(k, 4, 9) for k in config.build(seed=0).generator.state_dict()]
    assert len(names) == 56
    assert {n.split(".")[1] for n in names} == {str(i) for i in (1, 4, 7, 10, 13, *range(16, 25), 25, 28, 31, 34, 38)}


class PublishedUNet(nn.Module):
    """One level of pix2pix' U-Net around the next, in the published nesting."""

    def __init__(self, widths: list[int], level: int = 0) -> None:
        super().__init__()
        a, b, last = widths[level], widths[level + 1], level == len(widths) - 2
        down = nn.Conv2d(a, b, 4, 2, 1, bias=False)
        up = nn.ConvTranspose2d(b if last else 2 * b, a, 4, 2, 1, bias=level == 0)
        inner = [] if last else [PublishedUNet(widths, level + 1)]
        if level == 0:
            self.model = nn.Sequential(down, *inner, nn.ReLU(), up, nn.Tanh())
        else:
            norm = [] if last else [nn.BatchNorm2d(b)]
            self.model = nn.Sequential(nn.LeakyReLU(0.2), down, *norm, *inner, nn.ReLU(), up, nn.BatchNorm2d(a))
        self.level = level

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.level == 0 else torch.cat([x, self.model(x)], dim=1)


def test_pix2pix_in_its_published_nesting_makes_the_same_image() -> None:
    published = Numbered([])
    published.model = PublishedUNet([3, 4, 8, 16, 32, 32])  # type: ignore[assignment]
    for layer in published.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.2)
            nn.init.normal_(layer.bias)
    config = Pix2PixConfig(image_size=64, source="photo", width=4, num_downs=5)
    model = loaded(config, (PIX2PIX, published.state_dict()))
    x = torch.rand(1, 3, 64, 64) * 2 - 1

    def kept(*shape: int) -> Tensor:
        return torch.ones(1, *shape)  # nothing is dropped, so that everything is doubled

    for hook in [layer.register_forward_hook(lambda *c: c[2] * 2) for layer in dropped(published)]:
        assert hook
    assert torch.allclose(model.eval().generate(x, kept), published(x), atol=1e-5)


def dropped(published: nn.Module) -> Iterator[nn.Module]:
    """Yield the norms of the steps up that dropout follows: all but the innermost and the outermost."""
    levels = [m for m in published.modules() if isinstance(m, PublishedUNet)]
    return (level.model[-1] for level in levels[1:-1])


GENERATOR = StyleGAN2Config(image_size=16, channels=(8, 8, 4), style_dim=8, mapping_layers=2)


def published_stylegan2(generator: StyleGenerator, config: StyleGAN2Config) -> dict[str, Tensor]:
    """Return random weights with the names and shapes of rosinality's generator."""
    dim, widths, kernel = config.style_dim, config.channels, torch.ones(4, 4)
    state = {"input.input": torch.randn(1, widths[0], 4, 4)}
    for i in range(config.mapping_layers):
        state |= {f"style.{i + 1}.weight": torch.randn(dim, dim), f"style.{i + 1}.bias": torch.randn(dim)}

    def convolution(name: str, a: int, b: int, size: int) -> None:
        state[f"{name}.conv.weight"] = torch.randn(1, b, a, size, size)
        state[f"{name}.conv.modulation.weight"] = torch.randn(a, dim)
        state[f"{name}.conv.modulation.bias"] = torch.randn(a)
        state[f"{name}.bias" if size == 1 else f"{name}.activate.bias"] = torch.randn(b).view(
            (1, b, 1, 1) if size == 1 else (b,)
        )
        if size == 3:
            state[f"{name}.noise.weight"] = torch.randn(1)

    convolution("conv1", widths[0], widths[0], 3)
    convolution("to_rgb1", widths[0], 3, 1)
    state["noises.noise_0"] = torch.randn(1, 1, 4, 4)
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        convolution(f"convs.{2 * i}", a, b, 3)
        convolution(f"convs.{2 * i + 1}", b, b, 3)
        convolution(f"to_rgbs.{i}", b, 3, 1)
        state |= {f"convs.{2 * i}.conv.blur.kernel": kernel, f"to_rgbs.{i}.upsample.kernel": kernel}
        state |= {f"noises.noise_{2 * i + k}": torch.randn(1, 1, 8 * 2**i, 8 * 2**i) for k in (1, 2)}
    return state


def test_stylegan2_has_the_published_names() -> None:
    state = published_stylegan2(StyleGenerator(GENERATOR), GENERATOR)
    model = loaded(GENERATOR, (STYLEGAN2, state))
    assert model.layers[2].strength == state["convs.1.noise.weight"]
    assert torch.equal(model.to_rgb[1].convolution.weight, state["to_rgbs.0.conv.weight"][0])
    with torch.device("meta"):
        published = published_stylegan2(StyleGenerator(StyleGAN2Config()), StyleGAN2Config())
    assert len(published) == 171
    assert not convert.differences(STYLEGAN2, published)
    state["other"] = state.pop("input.input")
    state["noises.noise_0"] = torch.zeros(1, 1, 8, 8)
    expected = r"1 missing \(first: input.input\); 1 unexpected \(first: other\); 1 of another shape"
    with pytest.raises(UserError, match=expected):
        loaded(GENERATOR, (STYLEGAN2, state))


def published_encoder(classes: int, config: PyramidConfig, size: int, styles: int) -> dict[str, Tensor]:
    """Return random weights with the names and shapes of pSp's encoder."""
    state: dict[str, Tensor] = {}

    def convolution(name: str, a: int, b: int, side: int, *, bias: bool) -> None:
        state[f"{name}.weight"] = torch.randn(b, a, side, side)
        if bias:
            state[f"{name}.bias"] = torch.randn(b)

    def norm(name: str, width: int) -> None:
        state.update(
            {f"{name}.{part}": torch.rand(width) for part in ("weight", "bias", "running_mean", "running_var")}
        )
        state[f"{name}.num_batches_tracked"] = torch.tensor(3)

    width, dim, number = config.first_width, config.widths[-1], 0
    convolution("input_layer.0", classes, width, 3, bias=False)
    norm("input_layer.1", width)
    state["input_layer.2.weight"] = torch.rand(width)
    for b, units in zip(config.widths, config.units):
        for _ in range(units):
            body = f"body.{number}"
            if width != b:
                convolution(f"{body}.shortcut_layer.0", width, b, 1, bias=False)
                norm(f"{body}.shortcut_layer.1", b)
            norm(f"{body}.res_layer.0", width)
            convolution(f"{body}.res_layer.1", width, b, 3, bias=False)
            state[f"{body}.res_layer.2.weight"] = torch.rand(b)
            convolution(f"{body}.res_layer.3", b, b, 3, bias=False)
            norm(f"{body}.res_layer.4", b)
            convolution(f"{body}.res_layer.5.fc1", b, b // config.squeeze, 1, bias=False)
            convolution(f"{body}.res_layer.5.fc2", b // config.squeeze, b, 1, bias=False)
            width, number = b, number + 1
    for i in range(styles):
        level = 0 if i < config.coarse else 1 if i < config.coarse + config.middle else 2
        for k in range((size // 2 ** len(config.widths) * 2**level).bit_length() - 1):
            convolution(f"styles.{i}.convs.{2 * k}", dim, dim, 3, bias=True)
        state |= {f"styles.{i}.linear.weight": torch.randn(dim, dim), f"styles.{i}.linear.bias": torch.randn(dim)}
    convolution("latlayer1", config.widths[-2], dim, 1, bias=True)
    convolution("latlayer2", config.widths[-3], dim, 1, bias=True)
    return state


def test_psp_in_its_published_names_encodes_our_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    network = PyramidConfig(first_width=4, widths=(4, 8, 8), units=(2, 1, 1), squeeze=4, coarse=2, middle=2)
    config = MaskEncoderConfig(image_size=16, labels=(("mask", 3),), network=network, perceptual="effnet-lite0")
    generator, reader = (replace(c, config=k) for c, k in zip(PSP.checkpoints, (GENERATOR, config)))
    small = replace(PSP, checkpoints=(generator, reader))
    monkeypatch.setattr(catalogue, "RELEASED", catalogue.of_files([small]))
    model = config.build(seed=0, decoder=StyleGenerator(GENERATOR)).eval()
    encoder, decoder = published_encoder(3, network, 16, 6), published_stylegan2(model.decoder, GENERATOR)
    state = {f"encoder.{k}": v for k, v in encoder.items()} | {f"decoder.{k}": v for k, v in decoder.items()}
    ours = convert.convert(small, state | {"latent_avg": torch.arange(8.0).expand(18, -1)}, Path("psp.pt"))
    model.load_state_dict({k: v for k, v in ours.items() if k in dict(model.state_dict())}, strict=False)
    plain = PyramidEncoder(network, 3, 16, 6).eval()  # without the channel "no class"
    names = {ours: stylegan2.encoder_name(ours, network.units) for ours in plain.state_dict()}
    plain.load_state_dict({ours: encoder[theirs] for ours, theirs in names.items()})
    classes = torch.randint(3, (2, 16, 16))
    masks = 255 * torch.eye(3, dtype=torch.uint8)[classes].permute(0, 3, 1, 2)
    expected = torch.arange(8.0) + plain(masks.float() / 255)
    styles = model.styles({"mask": masks}, torch.zeros(2, 3, 16, 16))  # random weights make them as large as 1e6
    assert (styles - expected).abs().max() < 1e-5 * expected.abs().max()
    assert torch.equal(model.decoder.constant, decoder["input.input"])
    with torch.device("meta"):
        full = published_stylegan2(StyleGenerator(StyleGAN2Config()), StyleGAN2Config())
        published = {f"encoder.{k}": v for k, v in published_encoder(19, PyramidConfig(), 256, 18).items()}
        published |= {f"decoder.{k}": v for k, v in full.items()} | {"latent_avg": torch.empty(18, 512)}
    monkeypatch.undo()
    assert not convert.differences(PSP, published)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_keeps_its_options_in_a_namespace_is_read(zipped: bool, tmp_path: Path) -> None:
    path, content = tmp_path / "psp.pt", {"state_dict": {"weight": torch.zeros(2)}, "latent_avg": torch.arange(3.0)}
    torch.save(content | {"opts": Namespace(label_nc=19)}, path, _use_new_zipfile_serialization=zipped)
    found = read_tensors(path)
    assert found.keys() == {"weight", "latent_avg"}
    assert found["latent_avg"].tolist() == [0, 1, 2]


def published_inade(config: InadeConfig, classes: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return random weights with the names and shapes of INADE's generator and encoder."""
    state: dict[str, Tensor] = {}

    def spectral(name: str, a: int, b: int, side: int) -> None:
        state[f"{name}.weight_orig"] = torch.randn(b, a, side, side)
        state[f"{name}.weight_u"], state[f"{name}.weight_v"] = torch.randn(b), torch.randn(a * side**2)

    widths = [config.width * m for m in (config.multipliers[0], *config.multipliers)]
    state["fc.weight"] = torch.randn(widths[0] * config.smallest**2, config.latent_dim)
    state["fc.bias"] = torch.randn(widths[0] * config.smallest**2)
    for name, a, b in zip(inade.BLOCKS, widths, widths[1:]):
        middle = min(a, b)
        layers = {"0": (a, middle, 3), "1": (middle, b, 3), **({"s": (a, b, 1)} if a != b else {})}
        for which, (x, y, side) in layers.items():
            spectral(f"{name}.conv_{which}", x, y, side)
            if which != "s":
                state[f"{name}.conv_{which}.bias"] = torch.randn(y)
            norm = f"{name}.norm_{which}"
            state |= {f"{norm}.{part}": torch.randn(classes, x, 2) for part in ("weight", "bias")}
            state |= {f"{norm}.param_free_norm.{part}": torch.rand(x) for part in ("running_mean", "running_var")}
            state[f"{norm}.param_free_norm.num_batches_tracked"] = torch.tensor(7)
            state[f"{norm}.fc_noise.weight"] = torch.randn(x, config.noise_dim)
            state[f"{norm}.fc_noise.bias"] = torch.randn(x)
    state |= {"conv_img.weight": torch.randn(3, widths[-1], 3, 3), "conv_img.bias": torch.randn(3)}
    w, encoder = config.encoder_width, {}
    sizes = {"layer1": (3, w), "layer2": (w, 2 * w), "layer3": (2 * w, 4 * w), "layer4": (4 * w, 8 * w)}
    sizes |= {"middle": (8 * w, 4 * w), "up1": (8 * w, 2 * w), "up2": (4 * w, w), "up3": (2 * w, w)}
    sizes |= {f"{kind}_conv_{part}": (w, config.noise_dim) for kind in ("scale", "bias") for part in ("mu", "var")}
    for name, (a, b) in sizes.items():
        encoder |= {f"{name}.weight": torch.randn(b, a, 3, 3), f"{name}.bias": torch.randn(b)}
    return state, encoder


def test_inade_in_its_published_names_gives_our_masks_the_published_classes() -> None:
    config = InadeConfig(
        image_size=64, labels=(("mask", 3),), perceptual=None, width=2, discriminator_width=4, latent_dim=5, noise_dim=3,
        encoder_width=2,
    )  # fmt: skip
    assert [len(part) for part in published_inade(config, 3)] == [198, 24]
    generator, encoder = published_inade(config, 3)
    model = loaded(config, *zip(inade.FILES, (generator, encoder)))
    plain = replace(config, labels=(("mask", 2),)).build(seed=0).generator["decoder"].eval()
    plain.load_state_dict({name: generator[inade.generator_name(name)] for name in plain.state_dict()})
    masks = 255 * torch.eye(3, dtype=torch.uint8)[torch.randint(3, (2, 64, 64))].permute(0, 3, 1, 2)
    labels = one_hot({"mask": masks}, config.labels, torch.zeros(2, 3, 64, 64))
    z, noise = torch.randn(2, 5), torch.randn(2, 4, 2, 3)
    expected = plain(labels[:, 1:], z, noise[:, 1:])
    assert torch.allclose(model.generator["decoder"](labels, z, noise), expected, atol=1e-5)
    assert torch.equal(model.generator["encoder"].heads[2].weight, encoder["bias_conv_mu.weight"])
