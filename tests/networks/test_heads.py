"""Encoders and heads of MT-Diffusion: shapes, the copied output block, rows that do not touch each other."""

from dataclasses import replace

import pytest
import torch
from tiny import randomized

from lightning_mmdiff.networks import heads
from lightning_mmdiff.networks.presets import adm_64, adm_classifier, mini_classifier
from lightning_mmdiff.networks.unet import UNet, UNetConfig

NETWORK = UNetConfig(
    in_channels=3, out_channels=3, channels=8, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(), num_heads=1,
    norm_groups=4, patch_size=2, num_classes=5,
)  # fmt: skip


def features(size: int = 2, pixels: int = 16) -> tuple[UNet, heads.Features]:
    unet = randomized(UNet(NETWORK)).eval()
    x, t = torch.randn(size, 3, pixels, pixels), torch.arange(size)
    raw, hidden, middle = unet.forward_with_features(x, t, None, torch.full((size,), -1))
    return unet, heads.Features(raw=raw, output=raw, hidden=hidden, middle=middle, t=t)


def test_features_are_those_of_the_plain_pass() -> None:
    unet = randomized(UNet(NETWORK)).eval()
    x, t, labels = torch.randn(2, 3, 16, 16), torch.tensor([3, 4]), torch.tensor([0, -1])
    output, hidden, middle = unet.forward_with_features(x, t, None, labels)
    assert torch.equal(output, unet(x, t, None, labels))
    assert middle.shape == (2, NETWORK.middle_channels, 4, 4)
    assert hidden.shape == (2, NETWORK.output_width, 8, 8)


def test_output_block_with_the_networks_own_weights_repeats_its_output() -> None:
    unet, found = features()
    block = heads.OutputBlock(NETWORK, 3)
    assert (block(found) == 0).all()  # starts at zero
    block.norm.load_state_dict(unet.out_norm.state_dict())
    block.conv.load_state_dict(unet.out_conv.state_dict())
    torch.testing.assert_close(block(found), found.output)


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (heads.OutputBlock(NETWORK, 4), (2, 4, 16, 16)),
        (heads.MiddleLinear(NETWORK, 5), (2, 5)),
        (heads.MiddleMLP(NETWORK, 32, 7), (2, 7)),
        (heads.OutputClassifier(mini_classifier(5, image_size=16)), (2, 5)),
    ],
)
def test_heads(head, shape) -> None:
    found = features()[1]
    head = randomized(head)
    whole = head(found)
    assert whole.shape == shape
    alone = heads.Features(**{k: v[1:] for k, v in vars(found).items()})
    torch.testing.assert_close(head(alone), whole[1:])


def test_parameters_of_the_heads_at_the_papers_size() -> None:
    with torch.device("meta"):
        count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
        assert count(heads.OutputBlock(adm_64(), 3)) == 2 * 192 + 192 * 3 * 9 + 3
        assert count(heads.MiddleLinear(adm_64(), 1000)) == 768 * 1000 + 1000
        assert count(heads.MiddleMLP(adm_64(), 1024, 1024)) == 768 * 1024 + 1024 + 1024 * 1024 + 1024
        assert count(heads.OutputClassifier(adm_classifier(64))) == 65_438_568  # App. E.3


def test_network_as_encoder_tells_classes_apart_and_leaves_none_without() -> None:
    unet = randomized(UNet(NETWORK)).eval()
    encoder = heads.NetworkEncoder((3, 16, 16), classes=5)
    encodings = encoder(torch.cat([torch.eye(5)[:2], torch.zeros(1, 5)]), unet)
    assert encodings.shape == (3, 3, 16, 16)
    zero_image, t = torch.zeros(3, 3, 16, 16), torch.zeros(1, dtype=torch.int64)
    torch.testing.assert_close(encodings, unet(zero_image, t, None, torch.tensor([0, 1, -1])))
    uncertain = encoder(torch.tensor([[0.4, 0.6, 0.0, 0.0, 0.0]]), unet)
    torch.testing.assert_close(uncertain[0], encodings[1])  # the likeliest class


def test_network_as_encoder_knows_no_dropout() -> None:
    """ADM-64 has dropout of .1: without this, E(y) differs between two steps, and between training and sampling."""
    unet = randomized(UNet(replace(NETWORK, dropout=0.5)))
    encoder, x = heads.NetworkEncoder((3, 16, 16), classes=5), torch.eye(5)[:2]
    in_training = encoder.train()(x, unet.train())
    assert unet.training
    assert all(module.training for module in unet.modules())
    assert torch.equal(in_training, encoder(x, unet.train()))
    assert torch.equal(in_training, encoder(x, unet.eval()))
    assert not unet.training
    dropped = [unet.train()(torch.zeros(2, 3, 16, 16), torch.tensor([0]), None, torch.tensor([0, 1])) for _ in range(2)]
    assert not torch.equal(*dropped)  # which the network itself has


def test_network_as_encoder_of_more_images_than_classes() -> None:
    """Each class is encoded once then; the encodings are the same."""
    unet = randomized(UNet(NETWORK)).eval()
    encoder, rows = heads.NetworkEncoder((3, 16, 16), classes=5), []
    unet.time_embed.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    x = torch.cat([torch.eye(5)[[3, 0, 3, 4, 2, 1, 1, 0]], torch.zeros(1, 5)])
    one_by_one = torch.cat([encoder(row[None], unet) for row in x])
    torch.testing.assert_close(encoder(x, unet), one_by_one)
    assert rows == [1] * 9 + [6]


def test_network_as_encoder_that_renews_classes_in_turn() -> None:
    """Training reads what was encoded last, and zeros before a class's first turn; all else reads the network as it is."""
    unet = randomized(UNet(NETWORK))
    encoder, exact = (heads.NetworkEncoder((3, 16, 16), classes=5, renew_every=n) for n in (2, None))
    every, found = torch.eye(5), torch.zeros(5, 3, 16, 16)
    turns = ([0, 1, 2], [], [3, 4, 0], [], [1, 2, 3])
    for seed, (classes, labels) in enumerate(zip(turns, ([0, 1, 2], [2, 3, 3], [4, 4, 0], [1, 3, 0], [0, 2, 4]))):
        randomized(unet, seed)  # other weights, as after an optimizer's step
        found[classes] = exact(every, unet)[classes]
        torch.testing.assert_close(encoder(every[labels], unet), found[labels])
    whole = exact(every, unet)
    assert (whole[0] - found[0]).abs().max() > 0.01
    torch.testing.assert_close(encoder.eval()(every, unet), whole)
    assert encoder.steps == 5


def test_network_as_encoder_that_renews_every_class_in_every_step_is_exact() -> None:
    unet = randomized(UNet(NETWORK))
    renewing, exact = (heads.NetworkEncoder((3, 16, 16), classes=5, renew_every=n) for n in (1, None))
    for seed in range(3):
        randomized(unet, seed)
        x = torch.eye(5)[[3, 0, 3, 4, 2, 1]]
        torch.testing.assert_close(renewing(x, unet), exact(x, unet))
    none = torch.zeros(1, 5)
    assert not renewing(none, unet).any()


def test_network_as_encoder_of_vectors() -> None:
    config = replace(NETWORK, num_classes=None, embedding_dim=6)
    unet = randomized(UNet(config)).eval()
    x = torch.randn(2, 6)
    encodings = heads.NetworkEncoder((3, 16, 16))(x, unet)
    torch.testing.assert_close(encodings, unet(torch.zeros(2, 3, 16, 16), torch.zeros(1, dtype=torch.int64), x))


def test_coarse_encoder_gives_the_expected_picture_of_uncertain_classes() -> None:
    encoder = heads.CoarseEncoder(5, (3, 16, 16))
    unet = UNet(NETWORK)
    certain = encoder(torch.eye(5), unet)
    assert certain.shape == (5, 3, 16, 16)
    uncertain = encoder(torch.tensor([[0.25, 0.75, 0.0, 0.0, 0.0]]), unet)
    torch.testing.assert_close(uncertain[0], 0.25 * certain[0] + 0.75 * certain[1])
