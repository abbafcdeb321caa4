"""GLIDE's kind of model: what the text changes, its null, its training; and two-stage sampling."""

from dataclasses import replace

import pytest
import torch
from tiny import randomized, tiny_denoiser

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.methods.upsampling import Upsampled
from lightning_mmdiff.models.text_denoiser import TextDenoiser, TextDenoiserConfig
from lightning_mmdiff.networks import presets
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.text_encoder import TextEncoder, TextEncoderConfig
from lightning_mmdiff.networks.unet import UNet, UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import Sampler

TEXT = TextEncoderConfig(vocabulary_size=30, width=8, num_layers=1, num_heads=2, max_length=6)
STEPS = Sampler(name="spaced-ddim", num_steps=2)


def model(*, spatial: tuple[tuple[str, int], ...] = (), image_size: int = 8, **options) -> TextDenoiser:
    config = TextDenoiserConfig(
        network=UNetConfig(
            in_channels=3 + sum(c for _, c in spatial), out_channels=6, channels=8, channel_mult=(1, 2), num_res_blocks=1,
            attention_levels=(1,), num_heads=2, norm_groups=4, context_dim=8,
        ),
        text=TEXT, conditions=ConditionConfig(spatial=spatial), image_size=image_size, learned_variance=True,
        optimizer=OptimizerConfig(lr=1e-3), **options,
    )  # fmt: skip
    made = randomized(TextDenoiser(config)).eval()
    made.text.tokenize = letters
    return made


def letters(texts) -> tuple[torch.Tensor, torch.Tensor]:
    """A token per letter."""
    rows = [[ord(letter) - ord("a") for letter in text][:6] for text in texts]
    tokens = torch.tensor([row + [29] * (6 - len(row)) for row in rows])
    return tokens, torch.tensor([[i < len(row) for i in range(6)] for row in rows])


@pytest.mark.parametrize(
    ("network", "count"), [(presets.glide(), 308_728_902), (presets.glide_upsampler(), 322_059_462)]
)
def test_published_number_of_parameters(network: UNetConfig, count: int) -> None:
    with torch.device("meta"):
        unet, text = UNet(network), TextEncoder(TextEncoderConfig())
        assert sum(p.numel() for p in unet.parameters()) == count
        assert sum(p.numel() for p in text.parameters()) == 76_301_824


@torch.no_grad()
def test_rows_are_independent_and_read_their_text() -> None:
    made, z, t = model(), torch.randn(3, 3, 8, 8), torch.tensor([5, 500, 900])
    conditions = made.encode_conditions({"caption": ["cat", "dog", ""]})
    together = made.predict_eps(z, t, made.encode(conditions, 3))
    alone = made.predict_noise(z[1:2], t[1], {"caption": ["dog"]} | made.encode_conditions({"caption": ["dog"]}))
    torch.testing.assert_close(together[1:2], alone[:, :3])
    null = made.predict_eps(z, t, made.encode({}, 3))
    torch.testing.assert_close(together[2], null[2])  # the empty text is the null condition
    assert (together[0] - null[0]).abs().max() > 1e-3


def test_tokens_after_the_end_do_not_count_but_their_positions_do() -> None:
    encoder = randomized(TextEncoder(TEXT))
    mask = torch.tensor([[True, True, False, False, False, False]])
    one, other = torch.tensor([[1, 2, 3, 4, 5, 6]]), torch.tensor([[1, 2, 9, 9, 9, 9]])
    torch.testing.assert_close(encoder.encode(one, mask), encoder.encode(other, mask))
    assert not torch.equal(encoder.encode(one, mask), encoder.encode(one, torch.ones_like(mask)))


def test_training_drops_texts_and_reaches_the_text_transformer() -> None:
    made = model(drop_probability=0.5).train()
    batch = {
        "image": torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8),
        "conditions": {"caption": ["cat", "dog", "cow", "hen"]},
    }
    losses = made.losses(batch, made.draws(0))
    losses["loss"].backward()
    assert losses.keys() == {"loss", "simple", "bound"}
    assert made.text.token.weight.grad.abs().sum() > 0
    everything = replace(made.config, drop_probability=1.0)
    made.config = everything
    conditions = made._drop(made.embed(batch), 4, made.draws(0))
    torch.testing.assert_close(conditions["text_tokens"], made.text.empty().expand(4, -1, -1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"text": replace(TEXT, width=16)}, "reads text of width 8"),
        ({"subsets": ((("text_tokens",), 1.0),)}, "subsets"),
        ({"drop_probability": 1.5}, "drop_probability"),
    ],
)
def test_configs_that_do_not_fit_are_refused(changed, message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(model().config, **changed)


def test_a_network_that_reads_a_text_needs_one_and_nothing_else() -> None:
    made = model()
    with pytest.raises(UserError, match="vectors of a text are missing"):
        made.network(torch.zeros(1, 3, 8, 8), torch.zeros(1))
    with pytest.raises(UserError, match="no embedding_dim"):
        replace(made.config.network, embedding_dim=4)


def test_two_stages_give_the_second_the_unrounded_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Image i depends on i alone, and the small image is not rounded to 8 bits."""
    first, second = model(), model(spatial=(("low_res", 3),), image_size=16)
    united = UniteAndConquer([Expert(denoiser=first, conditions=("text_tokens",))], sampler=STEPS)
    method = Upsampled(united, second, sampler=STEPS, noise_scale=0.997, sampling_seed=3)
    seen = []
    monkeypatch.setattr(method, "with_small", lambda small, f=method.with_small: seen.append(small) or f(small))
    batch = {"index": torch.tensor([4, 7]), "conditions": {"caption": ["cat", "dog"]}}
    images = method.predict_step(batch)
    assert images.shape == (2, 3, 16, 16)
    steps = seen[0] * 127.5 + 127.5
    assert (steps - steps.round()).abs().max() > 1e-3
    one = method.predict_step({"index": torch.tensor([7]), "conditions": {"caption": ["dog"]}})
    assert (one[0].int() - images[1].int()).abs().max() <= 1
    with pytest.raises(UserError, match="low_res"):
        Upsampled(united, tiny_denoiser(), sampler=STEPS, noise_scale=1.0)
