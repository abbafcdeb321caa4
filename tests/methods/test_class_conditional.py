"""Class-conditional denoisers, and the hooks of sampling."""

import dataclasses

import pytest
import torch
from tiny import denoise, randomized, tiny_config, tiny_denoiser

from lightning_mmdiff import images, schedules, seeding
from lightning_mmdiff.methods.collaborative.model import Collaborative, CollaborativeConfig, Collaborator
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig, ConditionEncoder, drop
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.sampling import SamplingWrapper, SchedulerWrapper


def class_config(subsets: tuple = (), **options) -> DenoiserConfig:
    config = tiny_config(spatial=(), **options)
    return dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, num_classes=4),
        conditions=ConditionConfig(label=("label", 4)),
        subsets=subsets,
    )


def class_denoiser(**options) -> Denoiser:
    return randomized(Denoiser(class_config(**options))).eval()


def batch(size: int = 4) -> dict:
    g = torch.Generator().manual_seed(1)
    return {
        "index": torch.arange(size),
        "image": torch.randint(0, 256, (size, 3, 8, 8), generator=g, dtype=torch.uint8),
        "conditions": {"label": torch.arange(size) % 4},
    }


@torch.no_grad()
def test_the_label_matters_and_its_absence_is_the_null_class():
    model, z, t = class_denoiser(), torch.randn(4, 3, 8, 8), torch.tensor(300)
    given, absent, null = (
        model.predict_noise(z, t, c) for c in (batch()["conditions"], {}, {"label": torch.full((4,), -1)})
    )
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(given, absent))
    assert torch.equal(absent, null)


@torch.no_grad()
def test_the_null_class_is_the_network_without_classes():
    model = class_denoiser()
    plain = Denoiser(tiny_config(spatial=())).eval()
    state = {name: value for name, value in model.state_dict().items() if name != "network.label.weight"}
    plain.load_state_dict(state)
    z, t = torch.randn(2, 3, 8, 8), torch.tensor(300)
    assert torch.equal(model.predict_noise(z, t, {}), plain.predict_noise(z, t, {}))


@torch.no_grad()
def test_the_null_of_a_network_without_a_null_class_is_one_of_its_classes():
    """ADM knows no null: the released code of Unite and Conquer feeds class 0."""
    model = class_denoiser()
    config = dataclasses.replace(model.config.conditions, null_label=2)
    adm = Denoiser(dataclasses.replace(model.config, conditions=config)).eval()
    adm.load_state_dict(model.state_dict())
    z, t, rows = torch.randn(3, 3, 8, 8), torch.tensor(300), torch.tensor([1, -1, 0])
    found = adm.predict_noise(z, t, {"label": rows})
    assert torch.equal(adm.predict_noise(z, t, {}), model.predict_noise(z, t, {"label": torch.full((3,), 2)}))
    assert torch.equal(found, model.predict_noise(z, t, {"label": torch.tensor([1, 2, 0])}))


@pytest.mark.parametrize("null", [-1, 0])
@torch.no_grad()
def test_class_conditional_experts_unite_as_the_equation_says(null):
    """Eq. 10 on separate calls; the unconditional term is the prediction for ``null_label``."""
    base = class_config()
    config = dataclasses.replace(base, conditions=dataclasses.replace(base.conditions, null_label=null))
    first, second = (randomized(Denoiser(config, seed=seed), seed).eval() for seed in (0, 1))
    sampler = schedules.Sampler(name="ddim", num_steps=3)
    experts = [Expert(denoiser=m, conditions=("label",), weight=w) for m, w in ((first, 1.5), (second, 2.0))]
    z, t, given = torch.randn(4, 3, 8, 8), torch.tensor(300), batch()["conditions"]
    cond = torch.stack([m.predict_noise(z, t, given) for m in (first, second)])
    absent = torch.stack([m.predict_noise(z, t, {"label": torch.full((4,), null)}) for m in (first, second)])
    expected = 1.5 * cond[0] + 2.0 * cond[1] - (1.5 + 2.0 - 1) * absent.mean(0)
    found = UniteAndConquer(experts, sampler=sampler).predict_noise(z, t, given)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    composed = Composable(experts, sampler=sampler).predict_step(batch())
    assert composed.shape == (4, 3, 8, 8)


@torch.no_grad()
def test_a_dynamic_diffuser_sees_the_class_of_its_expert():
    diffuser = UNetConfig(
        in_channels=3, out_channels=1, channels=8, channel_mult=(1,), num_res_blocks=1, attention_levels=(), num_heads=1,
        norm_groups=4, num_classes=4,
    )  # fmt: skip
    experts, config = [class_denoiser(), class_denoiser()], Collaborator(conditions=("label",), network=diffuser)
    model = Collaborative(experts, CollaborativeConfig(collaborators=(config, config)))
    randomized(model.diffusers)
    logits = model.logits(torch.zeros(4, 3, 8, 8), torch.tensor(300), batch()["conditions"])
    assert (logits[:, 1:] - logits[:, :1]).abs().amax(dim=(0, 2, 3, 4)).min() > 1e-3
    blind = Collaborator(conditions=("label",), network=dataclasses.replace(diffuser, num_classes=None))
    with pytest.raises(ValueError, match=r"of \('label',\) has num_classes=None; it sees what its expert sees"):
        Collaborative(experts, CollaborativeConfig(collaborators=(config, blind)))
    with pytest.raises(ValueError, match="has num_classes=4; it sees"):
        Collaborative([tiny_denoiser(spatial=())], CollaborativeConfig(collaborators=(config,)))


@torch.no_grad()
def test_rows_have_their_own_class():
    model, z, t = class_denoiser(), torch.randn(3, 3, 8, 8), torch.tensor(300)
    labels = torch.tensor([2, -1, 0])
    together = model.predict_noise(z, t, {"label": labels})
    alone = [model.predict_noise(z[i : i + 1], t, {"label": labels[i : i + 1]}) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_dropped_label_is_the_null_class():
    never, always = (class_denoiser(subsets=s) for s in ((((), 1.0),), ((("label",), 1.0),)))
    g = lambda: seeding.step_generator(0, 0)  # noqa: E731
    without = {**batch(), "conditions": {}}
    torch.testing.assert_close(never.loss(batch(), g()), never.loss(without, g()))
    torch.testing.assert_close(always.loss(batch(), g()), class_denoiser().loss(batch(), g()))
    assert always.loss(batch(), g()) != never.loss(batch(), g())


def test_drop_keeps_classes_whole_numbers():
    kept = drop({"label": torch.tensor([3, 0, 2])}, torch.tensor([0, 1, 0]), (("label",), ()))
    assert kept["label"].dtype == torch.int64
    assert kept["label"].tolist() == [3, -1, 2]


def test_gradients_reach_the_classes_of_the_batch():
    model = class_denoiser()
    model.loss(
        {**batch(), "conditions": {"label": torch.tensor([0, 0, 2, -1])}}, seeding.step_generator(0, 0)
    ).backward()
    assert model.network.label.weight.grad.any(dim=1).tolist() == [True, False, True, False]


def test_a_label_beside_other_conditions():
    encoder = ConditionEncoder(ConditionConfig(spatial=(("hair", 1),), embedding=("text", 5), label=("kind", 3)))
    assert encoder.config.names == ("hair", "text", "kind")
    conditions = {"kind": torch.tensor([2, -1]), "hair": torch.ones(2, 1, 4, 4)}
    channels, embedding = encoder(conditions, 2, 4, "cpu")
    assert channels.shape == (2, 1, 4, 4)
    assert not embedding.any()
    assert encoder.labels(conditions, 2, "cpu").tolist() == [2, -1]
    assert encoder.labels({}, 2, "cpu").tolist() == [-1, -1]
    assert ConditionEncoder(ConditionConfig()).labels({}, 2, "cpu") is None


def test_errors():
    for null, label in ((4, ("label", 4)), (-2, ("label", 4)), (0, None)):
        with pytest.raises(ValueError, match=f"null_label is {null}; the network has"):
            ConditionConfig(label=label, null_label=null)
    model, z, t = class_denoiser(), torch.randn(2, 3, 8, 8), torch.tensor(300)
    with pytest.raises(ValueError, match="from 0 to 4; the network has 4 classes: expected -1 to 3"):
        model.predict_noise(z, t, {"label": torch.tensor([0, 4])})
    with pytest.raises(ValueError, match=r"torch.int32 \[2\]; expected torch.int64 \[2\]"):
        model.predict_noise(z, t, {"label": torch.tensor([0, 1], dtype=torch.int32)})
    config = class_config()
    with pytest.raises(ValueError, match="num_classes=4, but the label of the conditions is None"):
        dataclasses.replace(config, conditions=ConditionConfig())
    with pytest.raises(ValueError, match="num_classes=4, but the label of the conditions is .'label', 3.: give both"):
        dataclasses.replace(config, conditions=ConditionConfig(label=("label", 3)))


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm-solver++", "spaced-ddpm"])
def test_predict_step_is_start_scheduler_loop_and_finish(name):
    model = tiny_denoiser(spatial=())
    model.sampler = schedules.Sampler(name=name, num_steps=5, eta=float(name == "ddim"))
    generators = [seeding.image_generator(0, i) for i in range(3)]
    z = torch.stack([torch.randn(3, 8, 8, generator=g) for g in generators])
    scheduler = schedules.make_scheduler(model.sampler, model.schedule)
    z = denoise(lambda z, t: model.predict_noise(z, t, {}), scheduler, z, 5, generators)
    assert torch.equal(model.predict_step({"index": torch.arange(3)}), images.to_uint8(z))


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpm-solver++", "spaced-ddim"])
def test_wrappers_change_what_they_replace_and_nothing_else(name):
    class Through(SamplingWrapper):
        def scheduler(self, batch):
            return SchedulerWrapper(super().scheduler(batch))

    class Gray(SamplingWrapper):
        def decode(self, z, batch):
            return 0 * super().decode(z, batch)

    model = class_denoiser()
    model.sampler = schedules.Sampler(name=name, num_steps=5, eta=float("ddim" in name))
    assert torch.equal(Through(model).predict_step(batch()), model.predict_step(batch()))
    assert Gray(model).predict_step(batch()).unique().tolist() == [128]
