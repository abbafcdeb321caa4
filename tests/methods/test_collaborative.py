"""Collaborative Diffusion: closed forms of Eq. 5-7, who learns and who is stored, and an independent sampling loop."""

import math
from dataclasses import replace

import pytest
import torch
from lightning import Trainer
from tiny import randomized, tiny_denoiser
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_mmdiff import images, seeding
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig, released_schedule
from lightning_mmdiff.methods.collaborative.model import (
    Collaborative,
    CollaborativeConfig,
    Collaborator,
    collaborate,
    normalize,
)
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.schedules import Sampler

SAMPLER = Sampler(name="ddim", num_steps=4)
CHANNELS = {"hair": 1, "skin": 2, "sketch": 1}


def diffuser(channels: int, **options) -> UNetConfig:
    return UNetConfig(
        in_channels=3 + channels, out_channels=1, channels=8, channel_mult=(1,), num_res_blocks=1, attention_levels=(),
        num_heads=1, norm_groups=4, **options,
    )  # fmt: skip


def config(*names: str, **options) -> CollaborativeConfig:
    return CollaborativeConfig(
        collaborators=tuple(Collaborator(conditions=(n,), network=diffuser(CHANNELS[n])) for n in names), **options
    )


def experts(*names: str, **options) -> list[Denoiser]:
    return [tiny_denoiser(seed, spatial=((n, CHANNELS[n]),), **options) for seed, n in enumerate(names)]


def collaborative(*names: str, random: bool = True, options: dict | None = None, **kwargs) -> Collaborative:
    names = names or ("hair", "skin")
    model = Collaborative(experts(*names), config(*names, **(options or {})), sampler=SAMPLER, **kwargs)
    if random:
        randomized(model.diffusers, seed=5)
    return model.eval()


def batch(size: int = 3) -> dict:
    g = torch.Generator().manual_seed(1)

    def byte(*shape: int) -> Tensor:
        return torch.randint(0, 256, shape, generator=g, dtype=torch.uint8)

    conditions = {name: byte(size, channels, 8, 8) for name, channels in CHANNELS.items()}
    return {"index": torch.arange(size), "image": byte(size, 3, 8, 8), "conditions": conditions}


def noisy(size: int = 3) -> Tensor:
    return torch.randn(size, 3, 8, 8, generator=torch.Generator().manual_seed(2))


T = torch.tensor(600)


@pytest.mark.parametrize("names", [("hair", "skin"), ("hair", "skin", "sketch")])
def test_fresh_dynamic_diffusers_are_exactly_composable(names: tuple[str, ...]) -> None:
    model = collaborative(*names, random=False)
    composable = Composable(model.experts, sampler=SAMPLER)
    with torch.no_grad():
        influence = model.influence(noisy(), T, batch()["conditions"])
        assert torch.equal(influence, torch.full_like(influence, 1 / len(names)))
        theirs = composable.predict_noise(noisy(), T, batch()["conditions"])
        ours = model.predict_noise(noisy(), T, batch()["conditions"])
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    assert torch.equal(model.predict_step(batch()), composable.predict_step(batch()))


def test_equal_influence_with_guidance_2_is_unite_and_conquer() -> None:
    model = collaborative(random=False, influence=InfluenceConfig(guidance=2.0))
    united = UniteAndConquer(model.experts, sampler=SAMPLER)
    ours, theirs = (m.predict_noise(noisy(), T, batch()["conditions"]).detach() for m in (model, united))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert torch.equal(model.sample_with_influence(batch())[0], model.predict_step(batch()))


@pytest.mark.parametrize("chosen", [0, 1])
def test_a_large_logit_gives_that_expert_alone(chosen: int) -> None:
    model = collaborative(random=False)
    model.diffusers[chosen].network.out_conv.bias.data.fill_(1e4)
    alone = Composable([model.experts[chosen]], sampler=SAMPLER)
    ours, theirs = (m.predict_noise(noisy(), T, batch()["conditions"]).detach() for m in (model, alone))
    torch.testing.assert_close(ours, theirs)


def test_influence_decides_at_each_pixel() -> None:
    eps = torch.randn(2, 1, 3, 4, 4, dtype=torch.float64)
    logits = torch.zeros(2, 1, 1, 4, 4, dtype=torch.float64)
    logits[0, ..., :2] = 1e3  # the left half is the first expert's
    logits[1, ..., 2:] = math.log(3.0)  # the right half 1 : 3
    out = collaborate(eps, normalize(logits))
    torch.testing.assert_close(out[..., :2], eps[0, ..., :2])
    torch.testing.assert_close(out[..., 2:], 0.25 * eps[0, ..., 2:] + 0.75 * eps[1, ..., 2:])


def test_agreeing_experts_are_followed_whatever_the_influence() -> None:
    eps = torch.randn(1, 2, 3, 4, 4).expand(3, -1, -1, -1, -1)
    torch.testing.assert_close(collaborate(eps, normalize(torch.randn(3, 2, 1, 4, 4))), eps[0])


@pytest.mark.parametrize("t", [1, 201, 501, 801, 981])
def test_released_schedule_is_2a_over_1_plus_a(t: int) -> None:
    influence = normalize(torch.randn(2, 2, 1, 3, 3, dtype=torch.float64))
    a = influence[1] * (math.cos((1 - t / 1000) * math.pi) + 1) / 2
    out = released_schedule(influence, torch.tensor(t), 1000, scheduled=(1,))
    torch.testing.assert_close(out[1], 2 * a / (1 + a))
    torch.testing.assert_close(out[0], (1 - a) / (1 + a))


def test_released_schedule_has_the_measured_values() -> None:
    half = torch.full((2, 1, 1, 1, 1), 0.5, dtype=torch.float64)
    measured = {981: 0.666, 801: 0.623, 501: 0.401, 201: 0.092, 1: 0.0}
    for t, value in measured.items():
        out = released_schedule(half, torch.tensor(t), 1000, scheduled=(0,))
        assert out[0].item() == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize("t", [1, 301, 701, 981])
def test_released_schedule_of_three(t: int) -> None:
    """Mask and sketch have the factor; at two models it is the formula of two, and the rest keeps its proportions."""
    influence = normalize(torch.randn(3, 2, 1, 3, 3, dtype=torch.float64))
    g = (math.cos((1 - t / 1000) * math.pi) + 1) / 2
    out = released_schedule(influence, torch.tensor(t), 1000, scheduled=(0, 2))
    a, c = influence[0] * g, influence[2] * g
    torch.testing.assert_close(out[0], 2 * a / (1 + a + c))
    torch.testing.assert_close(out[2], 2 * c / (1 + a + c))
    torch.testing.assert_close(out.sum(0), torch.ones_like(out[0]))
    one = released_schedule(influence, torch.tensor(t), 1000, scheduled=(2,))
    torch.testing.assert_close(one[0] / one[1], influence[0] / influence[1])
    torch.testing.assert_close(one.sum(0), torch.ones_like(one[0]))


def test_released_schedule_of_three_has_the_measured_values() -> None:
    """The released sampler at t = 1: mask and sketch count for nothing, text for all."""
    influence = torch.tensor([0.4, 0.35, 0.25], dtype=torch.float64).view(3, 1, 1, 1, 1)
    out = released_schedule(influence, torch.tensor(1), 1000, scheduled=(0, 2)).flatten()
    torch.testing.assert_close(out, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), atol=1e-5, rtol=0)
    certain = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).view(3, 1, 1, 1, 1)
    out = released_schedule(certain, torch.tensor(700), 1000, scheduled=(2,))
    assert out.sum().item() == pytest.approx(1)  # nothing to keep a proportion of: the others share evenly


def test_loss_is_algorithm_1() -> None:
    model = collaborative()
    loss = model.loss(batch(), seeding.step_generator(0, 0))
    g, z0 = seeding.step_generator(0, 0), images.to_float(batch()["image"])
    t = torch.randint(1000, (3,), generator=g)
    eps = torch.randn(z0.shape, generator=g)
    predicted, logits = [], []
    z = model.schedule.add_noise(z0, eps, t)
    for m, name in enumerate(("hair", "skin")):
        x = torch.cat([z, images.to_float(batch()["conditions"][name])], dim=1)
        predicted.append(model.experts[m].denoiser.network(x, t))
        logits.append(model.diffusers[m].network(x, t))
    weight = torch.sigmoid(logits[0] - logits[1])
    expected = (weight * predicted[0] + (1 - weight) * predicted[1] - eps).square().mean()
    torch.testing.assert_close(loss, expected)


def test_min_snr_only_weighs_the_images() -> None:
    plain, same, less = (collaborative(options={"min_snr": m}) for m in (None, 1e12, 1e-3))
    losses = [m.loss(batch(), seeding.step_generator(0, 1)) for m in (plain, same, less)]
    torch.testing.assert_close(losses[0], losses[1])
    assert losses[2] < losses[0]


def test_only_the_dynamic_diffusers_learn() -> None:
    model = collaborative()
    model.loss(batch(), seeding.step_generator(0, 0)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.diffusers.parameters())
    assert all(p.grad is None for p in model.models.parameters())
    optimizer = model.configure_optimizers()["optimizer"]
    ours = {id(p) for p in model.diffusers.parameters()}
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == ours


def test_experts_stay_in_evaluation_mode() -> None:
    model = collaborative().train()
    assert model.diffusers.training
    assert not any(m.training for m in model.models.modules())


def test_only_the_dynamic_diffusers_are_stored(tmp_path) -> None:
    model, other = collaborative(), collaborative(random=False)
    checkpoints.save_weights(model, tmp_path / "w.safetensors", {})
    checkpoints.load_weights(other, tmp_path / "w.safetensors")
    assert torch.equal(model.predict_step(batch()), other.predict_step(batch()))
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert checkpoint["state_dict"].keys() == {f"diffusers.{n}" for n, _ in model.diffusers.named_parameters()}
    fresh = collaborative(random=False)
    fresh.on_load_checkpoint(checkpoint)
    fresh.load_state_dict(checkpoint["state_dict"], strict=True)
    assert torch.equal(model.predict_step(batch()), fresh.predict_step(batch()))


def saved_bytes(model: Collaborative) -> int:
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.loss(batch(), seeding.step_generator(0, 0))
    return total


def test_training_keeps_no_activation_of_an_expert() -> None:
    small, large = (Collaborative(experts("hair", "skin"), config("hair", "skin")) for _ in range(2))
    for expert in large.experts:  # four times as wide, as long as nobody looks
        wide = tiny_denoiser(spatial=expert.denoiser.config.conditions.spatial)
        network = replace(wide.config.network, channels=32)
        expert.denoiser.network = type(wide.network)(network).requires_grad_(False)
    assert saved_bytes(large) == saved_bytes(small) > 0


@pytest.mark.parametrize("schedule", ["none", "released"])
def test_sampling_equals_an_independent_loop(schedule: str) -> None:
    """DDIM with eta 1 over timesteps 751, 501, 251, 1 in latent diffusion's convention, written down by hand."""
    sampler = Sampler(name="ddim", num_steps=4, eta=1.0, clip=False, spacing="leading")
    model = collaborative(influence=InfluenceConfig(schedule=schedule, scheduled=(1,)))
    model.sampler = sampler
    found, maps = model.sample_with_influence(batch())

    g = [seeding.image_generator(0, i) for i in range(3)]
    z = torch.stack([torch.randn(3, 8, 8, generator=x) for x in g])
    alpha_bar, conditions = model.schedule.alpha_bar, batch()["conditions"]
    for step, t in enumerate((751, 501, 251, 1)):
        x = [torch.cat([z, images.to_float(conditions[n])], 1) for n in ("hair", "skin")]
        with torch.no_grad():
            eps = [e.denoiser.network(c, torch.tensor([t] * 3)) for e, c in zip(model.experts, x)]
            logits = [d.network(c, torch.tensor([t] * 3)) for d, c in zip(model.diffusers, x)]
        weight = torch.sigmoid(logits[1] - logits[0])  # of the second
        if schedule == "released":
            a = weight * (math.cos((1 - t / 1000) * math.pi) + 1) / 2
            weight = 2 * a / (1 + a)
        torch.testing.assert_close(maps[step, 1], weight[:, 0], rtol=1e-4, atol=1e-5)
        noise = (1 - weight) * eps[0] + weight * eps[1]
        now, then = alpha_bar[t].item(), alpha_bar[max(t - 250, 0)].item()
        sigma = math.sqrt((1 - then) / (1 - now) * (1 - now / then))
        z0 = (z - math.sqrt(1 - now) * noise) / math.sqrt(now)
        z = math.sqrt(then) * z0 + math.sqrt(1 - then - sigma**2) * noise
        z = z + sigma * torch.stack([torch.randn(1, 3, 8, 8, generator=x)[0] for x in g])
    assert (images.to_uint8(z).int() - found.int()).abs().max() <= 1


def test_influence_is_part_of_the_result() -> None:
    model = collaborative()
    found, maps = model.sample_with_influence(batch())
    assert torch.equal(found, model.predict_step(batch()))
    assert maps.shape == (4, 2, 3, 8, 8)
    torch.testing.assert_close(maps.sum(1), torch.ones(4, 3, 8, 8))
    assert maps.std(dim=(-2, -1)).min() > 0  # varies over the image
    assert (maps[0] - maps[-1]).abs().max() > 0  # and over time


def test_without_spatial_variation() -> None:
    model = collaborative(influence=InfluenceConfig(spatial=False))
    maps = model.sample_with_influence(batch())[1]
    torch.testing.assert_close(maps, maps[..., :1, :1].expand_as(maps))
    logits = model.logits(noisy(), T, batch()["conditions"])
    expected = logits.mean((-2, -1)).softmax(0)[..., 0]
    torch.testing.assert_close(model.influence(noisy(), T, batch()["conditions"])[:, :, 0, 3, 4], expected)


def test_without_temporal_variation() -> None:
    varying = collaborative().sample_with_influence(batch())[1]
    model = collaborative(influence=InfluenceConfig(temporal=False))
    found, maps = model.sample_with_influence(batch())
    torch.testing.assert_close(maps, varying.mean(0).expand_as(maps))
    assert torch.equal(found, model.predict_step(batch()))


def test_image_depends_on_its_number_not_on_the_batch() -> None:
    model = collaborative(influence=InfluenceConfig(temporal=False))
    model.sampler = Sampler(name="ddim", num_steps=3, eta=1.0)
    part = batch()
    part = {"index": part["index"][2:], "conditions": {k: v[2:] for k, v in part["conditions"].items()}}
    assert (model.predict_step(batch())[2:].int() - model.predict_step(part).int()).abs().max() <= 1


def test_experts_of_different_schedule_and_prediction_and_one_model_twice() -> None:
    """The second expert has another noise schedule and predicts the clean image; the third is the first again."""
    first, second = (
        tiny_denoiser(0, spatial=(("hair", 1), ("sketch", 1))),
        tiny_denoiser(1, schedule="linear", prediction="z0"),
    )
    collaborators = tuple(
        Collaborator(conditions=(n,), network=diffuser(c)) for n, c in (("hair", 2), ("hair", 1), ("sketch", 2))
    )
    model = Collaborative([first, second, first], CollaborativeConfig(collaborators=collaborators), sampler=SAMPLER)
    assert len(model.models) == 2
    loss = model.loss(batch(), seeding.step_generator(0, 0))
    loss.backward()
    assert torch.isfinite(loss)
    average = Composable([Expert(denoiser=e.denoiser, conditions=e.conditions) for e in model.experts], sampler=SAMPLER)
    assert torch.equal(model.predict_step(batch()), average.predict_step(batch()))


def test_per_image_times_equal_image_by_image() -> None:
    """Training asks every expert about a batch with a time for each image."""
    model, t = collaborative(), torch.tensor([10, 500, 990])
    whole = model.predictions(noisy(), t, batch()["conditions"])
    for i in range(3):
        one = {k: v[i : i + 1] for k, v in batch()["conditions"].items()}
        torch.testing.assert_close(
            whole[:, i : i + 1], model.predictions(noisy()[i : i + 1], t[i], one), rtol=1e-4, atol=1e-4
        )


def test_same_diffusers_over_other_experts() -> None:
    model = collaborative()
    others = [tiny_denoiser(seed + 7, spatial=((n, CHANNELS[n]),)) for seed, n in enumerate(("hair", "skin"))]
    edited = model.with_experts(others)
    assert edited.diffusers is model.diffusers
    assert not torch.equal(edited.predict_step(batch()), model.predict_step(batch()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Collaborative(experts("hair"), config("hair", "skin")), "1 experts were given for 2 collaborators"),
        (lambda: config(), r"collaborators=\(\); expected one entry or more"),
        (
            lambda: Collaborative(experts("hair", "hair"), config("hair", "skin")),
            "asked about skin, but its model knows hair",
        ),
        (
            lambda: Collaborative([*experts("hair"), *experts("skin", image_size=16)], config("hair", "skin")),
            r"same shape.*\(3, 8, 8\), \(3, 16, 16\)",
        ),
        (lambda: collaborative("hair", influence=InfluenceConfig(schedule="released")), "at least two models"),
        (lambda: collaborative(influence=InfluenceConfig(schedule="released", scheduled=(2,))), r"scheduled is \(2,\)"),
        (lambda: collaborative(influence=InfluenceConfig(schedule="released", scheduled=(0, 1))), "not all"),
    ],
)
def test_bad_input_is_one_sentence(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_resumed_training_is_the_same_bit_for_bit(tmp_path) -> None:
    def fit(model: Collaborative, steps: int, resume: str | None = None) -> Trainer:
        trainer = Trainer(
            max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
            enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(model.train(), DataLoader([batch()] * 9, batch_size=None), ckpt_path=resume, weights_only=True)
        return trainer

    whole, half, rest = (collaborative(random=False) for _ in range(3))
    fit(whole, 4)
    fit(half, 2).save_checkpoint(tmp_path / "half.ckpt")
    stored = torch.load(tmp_path / "half.ckpt", weights_only=True)["state_dict"]
    assert all(name.startswith("diffusers.") for name in stored)
    fit(rest, 4, str(tmp_path / "half.ckpt"))
    for ours, theirs in zip(rest.parameters(), whole.parameters()):
        assert torch.equal(ours, theirs)
    assert not torch.equal(next(rest.diffusers.parameters()), next(half.diffusers.parameters()))
